"""Chats that last: their messages as a tree, of which one path, from the first message to the head, is the talk."""

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from llamachat.errors import UsageError
from llamachat.session.database import memory_database, open_database, told, transaction

LONGEST_TITLE = 60
PARTIAL, DONE, INTERRUPTED = "partial", "done", "interrupted"
"""States of a message: being written (or the program died then), finished, stopped by the person."""


@dataclass(frozen=True)
class StoredMessage:
    """A message. parent: the one before it, None for a first one; extra: whatever belongs to it."""

    id: int
    parent: int | None
    role: str
    content: str
    state: str = DONE
    created: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ChatSummary:
    """What a list of chats tells of one."""

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


_SUMMARY = (
    "SELECT id, name, title, created, updated, model, (SELECT count(*) FROM messages WHERE chat = chats.id) n_messages "
    "FROM chats"
)
_PATH = """
WITH RECURSIVE path(id, parent, depth) AS (
    SELECT id, parent, 0 FROM messages WHERE id = ?
    UNION ALL SELECT messages.id, messages.parent, depth + 1 FROM messages JOIN path ON messages.id = path.parent
) SELECT messages.* FROM path JOIN messages USING (id) ORDER BY depth DESC
"""


class ChatStore:
    """The chats of a database. Every method is one transaction; all raise StoreUnavailable."""

    def __init__(self, path: Path | None) -> None:
        """`path` None: nothing is kept."""
        self.is_kept = path is not None
        self.path = path or Path(":memory:")
        self._connection = open_database(path) if path is not None else memory_database()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def create(self, model: str, name: str | None = None, settings: Mapping[str, Any] | None = None) -> int:
        """A new, empty chat. Raises UsageError for a name that is taken."""
        now = time.time()
        values = (name, now, now, model, json.dumps(dict(settings or {})))
        with told(self.path):
            try:
                made = self._connection.execute(
                    "INSERT INTO chats(name, created, updated, model, settings) VALUES (?, ?, ?, ?, ?)", values
                )
            except sqlite3.IntegrityError as error:
                raise UsageError(f"there is a chat named {name!r} already") from error
        return int(made.lastrowid or 0)

    def add(self, chat: int, parent: int | None, message: StoredMessage) -> int:
        """Adds a message after `parent` and makes it the head; returns its id. A person's first one is the title."""
        with told(self.path), transaction(self._connection):
            return self._add(chat, parent, message)

    def update(self, message: int, content: str, state: str = DONE, extra: Mapping[str, Any] | None = None) -> None:
        """Changes a message that is being written."""
        with told(self.path), transaction(self._connection):
            self._connection.execute(
                "UPDATE messages SET content = ?, state = ?, extra = coalesce(?, extra) WHERE id = ?",
                (content, state, None if extra is None else json.dumps(dict(extra)), message),
            )
            self._connection.execute(
                "UPDATE chats SET updated = ? WHERE id = (SELECT chat FROM messages WHERE id = ?)",
                (time.time(), message),
            )

    def remove(self, message: int) -> None:
        """Takes a message and all after it away."""
        with told(self.path):
            self._connection.execute("DELETE FROM messages WHERE id = ?", (message,))

    def set_head(self, chat: int, message: int | None) -> None:
        """Where the talk goes on."""
        self._set(chat, "head", message)

    def set_model(self, chat: int, model: str) -> None:
        """Which model speaks from now on."""
        self._set(chat, "model", model)

    def set_settings(self, chat: int, settings: Mapping[str, Any]) -> None:
        """System message, samplers, template: what the talk goes on with."""
        self._set(chat, "settings", json.dumps(dict(settings)))

    def settings(self, chat: int) -> dict[str, Any]:
        """What `set_settings` was told."""
        return dict(json.loads(self._one("SELECT settings FROM chats WHERE id = ?", chat)["settings"]))

    def path_of(self, chat: int) -> list[StoredMessage]:
        """The messages of the talk, the first one first."""
        head = self._one("SELECT head FROM chats WHERE id = ?", chat)["head"]
        return self._messages(_PATH, head)

    def tree_of(self, chat: int) -> list[StoredMessage]:
        """All messages, parents before their children."""
        return self._messages("SELECT * FROM messages WHERE chat = ? ORDER BY id", chat)

    def summary(self, chat: int) -> ChatSummary:
        """What a list would tell of it."""
        return ChatSummary(**self._one(f"{_SUMMARY} WHERE id = ?", chat))

    def latest(self, limit: int = -1) -> list[ChatSummary]:
        """The chats, the last one that changed first; -1 for all."""
        with told(self.path):
            rows = self._connection.execute(f"{_SUMMARY} ORDER BY updated DESC LIMIT ?", (limit,))
            return [ChatSummary(**row) for row in rows]

    def search(self, text: str, limit: int = 20) -> list[Hit]:
        """Messages with all the words, the newest first; `word*` is a beginning. Raises UsageError for no word.

        Not the best first: to rank every message with a common word takes seconds.
        """
        words = [word for word in text.split() if word.strip("*")]
        if not words:
            raise UsageError("there is nothing to look for: give one word at least")
        wanted = " ".join(_quoted(word) for word in words)
        found = (
            "SELECT messages.chat, messages.id, messages.role, snippet(words, 0, '', '', ' ... ', 12) excerpt "
            "FROM words JOIN messages ON messages.id = words.rowid "
            "WHERE words MATCH ? ORDER BY words.rowid DESC LIMIT ?"
        )
        with told(self.path):
            rows = self._connection.execute(found, (wanted, limit)).fetchall()
        return [Hit(self.summary(row["chat"]), row["id"], row["role"], row["excerpt"]) for row in rows]

    def find(self, wanted: str) -> int:
        """The chat of that name, number, or beginning of a title. Raises UsageError where there is none, or several."""
        with told(self.path):
            rows = self._connection.execute(
                "SELECT id, name, title FROM chats WHERE name = ? OR id = ? OR title LIKE ? ESCAPE '\\' "
                "ORDER BY updated DESC",
                (wanted, wanted if wanted.isdecimal() and len(wanted) < 18 else None, f"{_escaped(wanted)}%"),
            ).fetchall()
        exact = [row for row in rows if row["name"] == wanted or str(row["id"]) == wanted]
        rows = exact[:1] or rows
        if not rows:
            raise UsageError(f"there is no chat {wanted!r}; `llamachat sessions list` shows them")
        if len(rows) > 1:
            told_of = ", ".join(f"{row['id']} ({row['title']})" for row in rows[:3])
            raise UsageError(f"{wanted!r} could be {len(rows)} chats: {told_of}; give the number")
        return int(rows[0]["id"])

    def named(self, name: str) -> int | None:
        """The chat of that name."""
        with told(self.path):
            row = self._connection.execute("SELECT id FROM chats WHERE name = ?", (name,)).fetchone()
        return None if row is None else int(row["id"])

    def forget_empty(self, chat: int) -> None:
        """A chat in which nothing was said is not kept."""
        with told(self.path):
            self._connection.execute(
                "DELETE FROM chats WHERE id = ? AND NOT EXISTS (SELECT 1 FROM messages WHERE chat = chats.id)", (chat,)
            )

    def rename(self, chat: int, name: str) -> None:
        """Gives a name. Raises UsageError for one that is taken or could be taken for a number."""
        if not name.strip() or name.isdecimal():
            raise UsageError(f"a chat cannot be named {name!r}: names are not empty and not only digits")
        try:
            self._connection.execute("UPDATE chats SET name = ? WHERE id = ?", (name, chat))
        except sqlite3.IntegrityError as error:
            raise UsageError(f"there is a chat named {name!r} already") from error

    def fork(self, chat: int, name: str | None = None) -> int:
        """Another chat with the same talk so far."""
        summary, settings, path = self.summary(chat), self.settings(chat), self.path_of(chat)
        made = self.create(summary.model, name, settings)
        self.put(made, path)
        return made

    def put(self, chat: int, messages: Iterable[StoredMessage], head: int | None = None) -> None:
        """Adds messages with their tree: parents are told by the ids that they have here, and come first.

        head: the last message of the talk; None is the last of all.
        """
        new: dict[int, int] = {}
        with told(self.path), transaction(self._connection):
            for message in messages:
                parent = new[message.parent] if message.parent is not None else None
                new[message.id] = self._add(chat, parent, message)
            if head is not None:
                self._connection.execute("UPDATE chats SET head = ? WHERE id = ?", (new[head], chat))

    def delete(self, chat: int) -> None:
        """Takes a chat and all its words away; freed pages are written over."""
        with told(self.path):
            with transaction(self._connection):
                self._connection.execute("DELETE FROM chats WHERE id = ?", (chat,))
            self._connection.execute("INSERT INTO words(words) VALUES ('optimize')")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def tidy(self) -> None:
        """Writes the file anew without what was deleted."""
        with told(self.path):
            self._connection.execute("INSERT INTO words(words) VALUES ('rebuild')")
            self._connection.execute("VACUUM")
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _add(self, chat: int, parent: int | None, message: StoredMessage) -> int:
        now = time.time()
        values = (chat, parent, message.role, message.content, message.state, message.created or now)
        made = self._connection.execute(
            "INSERT INTO messages(chat, parent, role, content, state, created, extra) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*values, json.dumps(message.extra)),
        )
        self._connection.execute("UPDATE chats SET head = ?, updated = ? WHERE id = ?", (made.lastrowid, now, chat))
        if message.role == "user":
            self._connection.execute(
                "UPDATE chats SET title = ? WHERE id = ? AND title = ''", (title_of(message.content), chat)
            )
        return int(made.lastrowid or 0)

    def _set(self, chat: int, column: str, value: object) -> None:
        with told(self.path):
            self._connection.execute(f"UPDATE chats SET {column} = ? WHERE id = ?", (value, chat))

    def _one(self, query: str, chat: int) -> sqlite3.Row:
        with told(self.path), closing(self._connection.execute(query, (chat,))) as cursor:
            row = cursor.fetchone()
        if row is None:
            raise UsageError(f"there is no chat {chat}")
        return row  # type: ignore[no-any-return]

    def _messages(self, query: str, value: object) -> list[StoredMessage]:
        with told(self.path):
            rows = self._connection.execute(query, (value,)).fetchall()
        return [
            StoredMessage(
                row["id"], row["parent"], row["role"], row["content"], row["state"], row["created"],
                json.loads(row["extra"]),
            )
            for row in rows
        ]  # fmt: skip


def title_of(content: str) -> str:
    """The first line of a message, shortened at a word."""
    line = next((line.strip() for line in content.splitlines() if line.strip()), "")
    if len(line) <= LONGEST_TITLE:
        return line
    return line[: LONGEST_TITLE - 3].rsplit(" ", 1)[0] + "..."


def _quoted(word: str) -> str:
    """A word as the full-text search wants it."""
    text = word.rstrip("*").replace('"', '""')
    return f'"{text}"*' if word.endswith("*") else f'"{text}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
