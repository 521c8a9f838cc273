"""The parts of a stored message: attached files and a person's text, or an answer that may have been cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamachat.session.chats import StoredMessage

FILE = re.compile(r"File ([^\n]*):\n(`{3,})\n(.*?)\n\2\n\n", re.DOTALL)
"""A file before a message, as `with_files` writes it."""

MOST_LINES = 10
"""Lines of a message that are shown again."""


def with_files(files: Sequence[tuple[str, str]], text: str) -> str:
    """A message with the files before it; a file's fences are longer than any within it."""
    parts = []
    for name, content in files:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", content)), default=0))
        parts.append(f"File {name}:\n{fence}\n{content}\n{fence}\n\n")
    return "".join(parts) + text


def parted(message: StoredMessage) -> tuple[list[tuple[str, str]], str]:
    """The files that were attached to a message, and what the person wrote."""
    files, text, left = [], message.content, message.extra.get("files")
    while isinstance(left, int) and left > 0 and (found := FILE.match(text)) is not None:
        files.append((found[1], found[3]))
        text, left = text[found.end() :], left - 1
    return files, text


def quoted(text: str) -> str:
    """A person's message as it is shown again: the beginning of a long one."""
    lines = text.splitlines() or [""]
    more = len(lines) - MOST_LINES
    shown = [f"> {line}" for line in (lines[:MOST_LINES] if more > 1 else lines)]
    return "\n".join([*shown, f"> ... ({more} more lines)"] if more > 1 else shown)


def is_cut(answer: StoredMessage) -> bool:
    """Whether an answer ended before the model ended it."""
    from llamachat.session.chats import DONE  # sqlite3, which --help does without

    return answer.state != DONE or answer.extra.get("reason") in ("length", "context")


def shown_before(text: str) -> int:
    """How many characters of an answer need not be shown again: it is shown from its last paragraph on, or whole."""
    return text.rfind("\n\n") + 2 if "\n\n" in text and "```" not in text and "~~~" not in text else 0
