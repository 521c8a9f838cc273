"""The prompt of a command: from -p, from files and from standard input, in this order, with blank lines between."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from llamachat.cli.options import PromptChoice
from llamachat.errors import UsageError
from llamachat.files import LARGEST_TEXT, read_at_most, reason

STDIN = Path("-")


def prompt_text(choice: PromptChoice, text: str | None = None) -> str:
    """The prompt, never empty. Raises UsageError where there is none, or where it is not UTF-8 text.

    text: a positional argument, which stands in for -p. Standard input is read if it is not a terminal.
    """
    prompt = optional_prompt(choice, text, stdin=True)
    if not prompt:
        raise UsageError("the prompt is empty: give -p TEXT, or the text alone, -f FILE, or a text on standard input")
    return prompt


def optional_prompt(choice: PromptChoice, text: str | None = None, *, stdin: bool) -> str:
    """The prompt, "" if there is none; with `stdin`, standard input belongs to it if it is not a terminal."""
    given = choice.prompt if text is None else text
    return joined([argument(given or ""), read_files(choice.file or (), stdin=stdin)])


def joined(parts: Iterable[str]) -> str:
    """The parts that are not empty, with blank lines between."""
    return "\n\n".join(part for part in parts if part)


def read_files(files: Sequence[Path], *, stdin: bool) -> str:
    """The texts of files, of which `-` is standard input; with `stdin` that comes last, if it is not a terminal."""
    piped = stdin and STDIN not in files and sys.stdin is not None and not sys.stdin.isatty()
    return joined(read_stdin() if file == STDIN else read_file(file) for file in [*files, *([STDIN] if piped else [])])


def system_text(text: str | None, file: Path | None) -> str | None:
    """The system prompt, given as it is or in a file. Raises UsageError for a file that cannot be read."""
    return text if file is None else read_file(file, f"--system-file {file}")


def read_file(path: Path, name: str = "") -> str:
    """The text of a file, without one newline at its end. Raises UsageError if it cannot be read, or is not UTF-8.

    name: what the file is called in messages.
    """
    name = name or f"-f {path}"
    return decoded(read_at_most(path, name=name), name)


def read_stdin() -> str:
    """Standard input to its end, without one newline there; "" if it is closed. Raises UsageError as `read_file`."""
    return decoded(_stdin(), "standard input")


def _stdin() -> bytes:
    if sys.stdin is None:
        return b""
    try:
        content = sys.stdin.buffer.read(LARGEST_TEXT + 1)
    except OSError as error:
        raise UsageError(f"standard input: {reason(error)}") from error
    if len(content) > LARGEST_TEXT:
        raise UsageError(f"standard input has more than {LARGEST_TEXT} bytes, which is too much for a prompt")
    return content


def argument(text: str) -> str:
    """An argument as text; Python hides bytes that are not UTF-8 in it as lone surrogates. Raises as `read_file`."""
    return decoded(os.fsencode(text), "-p") if any("\ud800" <= c <= "\udfff" for c in text) else text


def read_exactly(path: Path, name: str) -> str:
    """The text of a file, or of standard input (`-`), to its last newline. Raises UsageError as `read_file`."""
    content = _stdin() if path == STDIN else read_at_most(path, name=name)
    return _as_text(content, name)


def decoded(content: bytes, name: str) -> str:
    """Bytes as text, without one newline at the end. Raises UsageError for what is no UTF-8; name: for the message."""
    return _as_text(content, name).removesuffix("\n")


def _as_text(content: bytes, name: str) -> str:
    if b"\0" in content:
        raise UsageError(f"{name} is a binary file (a zero byte at offset {content.index(0)}); a prompt is UTF-8 text")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wrong = content[error.start]
        raise UsageError(f"{name} is not UTF-8 text (byte {wrong:#04x} at offset {error.start})") from error
    return text.replace("\r\n", "\n")
