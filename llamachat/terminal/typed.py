r"""What a person types in the classic mode: lines of the terminal's own, whose last character says how it continues.

A line that ends with `\` continues in the next line; one that ends with `/` is taken without its line break. Where
several lines are the rule (`--multiline-input`), Return continues and `\` ends.
"""

import io
import sys


def read_typed(several_lines: bool = False) -> str | None:
    """The text, with its line break; "" where the person only gives the word back; None at the end of the input."""
    text = ""
    while line := _line():
        content = line.rstrip("\r\n")
        if content.endswith("/"):
            return text + content[:-1]
        ends = not several_lines
        if content.endswith("\\"):
            content, ends = content[:-1], several_lines
        text += content + "\n"
        if ends:
            return text if text.strip("\n") else ""
    return text or None


def read_until_dot() -> str:
    """Lines until one that is only a dot, or until the end of the input."""
    lines = []
    while line := _line():
        if line.strip() == ".":
            break
        lines.append(line.rstrip("\r\n"))
    return "\n".join(lines)


def _line() -> str:
    """The next line of standard input; bytes that are no text in its encoding become U+FFFD."""
    if isinstance(sys.stdin, io.TextIOWrapper) and sys.stdin.errors != "replace":
        sys.stdin.reconfigure(errors="replace")
    return sys.stdin.readline() if sys.stdin is not None else ""
