"""A chat in memory: messages as a tree. The path from the first message to the head is the current branch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LONGEST_TITLE = 60
PARTIAL, DONE, INTERRUPTED = "partial", "done", "interrupted"
"""States of a message: being written (or the program died then), finished, stopped by the person."""


@dataclass(frozen=True)
class StoredMessage:
    """A message. parent: the one before it, None for a first one; extra: further data, as JSON values."""

    id: int
    parent: int | None
    role: str
    content: str
    state: str = DONE
    created: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ChatSummary:
    """A chat's row in a list of chats."""

    id: int
    name: str | None
    title: str
    created: float
    updated: float
    model: str
    n_messages: int


@dataclass(frozen=True)
class Hit:
    """A message that was found; excerpt: the words around what was looked for."""

    chat: ChatSummary
    message: int
    role: str
    excerpt: str


@dataclass(frozen=True)
class WholeChat:
    """A chat to be saved as it is. messages: parents before their children, with their own ids.

    head: the id of the last message of the current branch; None for none. title "": that of its first message.
    """

    messages: tuple[StoredMessage, ...]
    head: int | None = None
    name: str | None = None
    model: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    created: float = 0.0
    updated: float = 0.0


def title_of(content: str) -> str:
    """The first line of a message, shortened at a word."""
    line = next((line.strip() for line in content.splitlines() if line.strip()), "")
    if len(line) <= LONGEST_TITLE:
        return line
    return line[: LONGEST_TITLE - 3].rsplit(" ", 1)[0] + "..."


def storable(text: str) -> str:
    """Text without lone surrogates, which a database cannot store."""
    return text.encode("utf-8", "replace").decode()
