"""The parts of a stored message: attached files and a person's text, or an answer that may have been cut."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llamachat.session.chats import StoredMessage

FILE = re.compile(r"File ([^\n]*):\n(`{3,})\n(.*?)\n\2\n\n", re.DOTALL)
"""A file before a message, as `with_files` writes it."""


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


def is_cut(answer: StoredMessage) -> bool:
    """Whether an answer ended before the model ended it."""
    from llamachat.session.chats import DONE  # sqlite3, which reading a message needs not

    return answer.state != DONE or answer.extra.get("reason") in ("length", "context")
