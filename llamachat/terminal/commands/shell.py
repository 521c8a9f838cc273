"""!command: a line for the person's shell, whose output is shown and can go before the next message."""

import os
import selectors
import signal
import subprocess
from codecs import getincrementaldecoder
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from llamachat.errors import UsageError
from llamachat.terminal.asking import YES
from llamachat.terminal.commands.attaching import attach
from llamachat.terminal.echo import answer_to, echo_off
from llamachat.terminal.sanitize import clean

if TYPE_CHECKING:
    from llamachat.terminal.chatting import Chat

MARK = "!"
LARGEST_OUTPUT = 1_000_000
"""Characters that are shown and can be attached; a command may write more."""


def run_shell(chat: "Chat", line: str) -> None:
    """Runs a line in the shell, shows what it writes, and offers that as an attachment. Raises UsageError."""
    if not line.strip():
        raise UsageError("! needs a command, as !ls; a message that begins with ! is written !!")
    with echo_off():
        text, code = _run(line, chat.console.output.write)
    chat.console.output.end_line()
    if code:
        chat.say(f"({_ending(code)})")
    if not text.strip():
        return
    n_lines = len(text.splitlines())
    if agreed(f"Attach these {n_lines} lines to your next message? [y/N] " if n_lines > 1 else
              "Attach this line to your next message? [y/N] "):  # fmt: skip
        chat.say(attach(chat, f"output of {' '.join(line.split())}", text))


def _ending(code: int) -> str:
    """How a command ended that did not end well."""
    if code > 0:
        return f"exit code {code}"
    if code == -signal.SIGKILL:
        return "stopped"
    with suppress(ValueError):  # a signal without a name
        return f"ended by {signal.Signals(-code).name}"
    return f"ended by signal {-code}"


def agreed(question: str) -> bool:
    """Whether the person says yes, on the terminal."""
    with suppress(KeyboardInterrupt):
        return answer_to(question) in YES
    return False


def _run(line: str, show: Callable[[str], None]) -> tuple[str, int]:
    """(what it wrote, without control bytes, and how it ended). Ctrl+C ends it. Raises UsageError for no shell."""
    shell = os.environ.get("SHELL") or "/bin/sh"
    words: str | list[str] = line if os.name == "nt" else [shell, "-c", line]
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, shell=os.name == "nt",
            start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise UsageError(f"{shell} cannot run that: {getattr(error, 'strerror', None) or error}") from error
    shown = _Shown(show)
    try:
        _follow(process, shown)
    except KeyboardInterrupt:
        _kill(process)
    except BaseException:
        _kill(process)
        raise
    finally:
        assert process.stdout is not None
        process.stdout.close()
        process.wait()
    shown.close()
    return shown.text, process.returncode


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """The command, and what it started."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _follow(process: "subprocess.Popen[bytes]", shown: "_Shown") -> None:
    """Reads until the command has ended: what it started in the background may keep its output open."""
    assert process.stdout is not None
    if os.name == "nt":
        while piece := process.stdout.read1(65536):  # type: ignore[attr-defined]
            shown.take(piece)
        return
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while True:
            has_ended = process.poll() is not None
            if not selector.select(0 if has_ended else 0.1):
                if has_ended:
                    return
                continue
            piece = os.read(process.stdout.fileno(), 65536)
            if not piece:
                return
            shown.take(piece)


class _Shown:
    """An output that is shown line by line, cleaned: a sequence of control bytes may come in pieces."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._decoder = getincrementaldecoder("utf-8")(errors="replace")
        self._rest, self.text, self._is_full = "", "", False

    def take(self, piece: bytes) -> None:
        """Takes what the command wrote."""
        self._rest += self._decoder.decode(piece)
        whole, newline, rest = self._rest.rpartition("\n")
        if newline or len(self._rest) > 65536:
            self._put(whole + newline if newline else self._rest)
            self._rest = rest if newline else ""

    def close(self) -> None:
        """Shows what is left."""
        self._put(self._rest + self._decoder.decode(b"", True))

    def _put(self, text: str) -> None:
        left = LARGEST_OUTPUT - len(self.text)
        cleaned = clean(text.replace("\r\n", "\n"))[: max(0, left)]
        self.text += cleaned
        self._show(cleaned)
        if len(text) > left and not self._is_full:
            self._is_full = True
            self._show(f"\n(more than {LARGEST_OUTPUT} characters: the rest is not shown)\n")
