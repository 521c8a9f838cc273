"""Saved chats: messages as a tree, of which one path, from the first message to the head, is the current branch."""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, TypeVar

from llamachat.errors import UsageError
from llamachat.session.database import (
    NEEDED,
    Say,
    StoreUnavailable,
    change_without_room,
    index_anew,
    memory_database,
    open_database,
    transaction,
    translate_errors,
)
from llamachat.session.reading import messages_of, path_in, settings_of, summary_of, text_of, tree_in
from llamachat.session.records import (
    DONE,
    INTERRUPTED,
    LONGEST_TITLE,
    PARTIAL,
    ChatSummary,
    Hit,
    StoredMessage,
    WholeChat,
    storable,
    title_of,
)
from llamachat.session.room import no_room
from llamachat.session.searching import MOST_WORDS, excerpt_of, excerpt_words, query_of, spaced
from llamachat.session.writing import add, delete_all, delete_below, insert, name_chat

__all__ = [
    "DONE", "INTERRUPTED", "LONGEST_TITLE", "MOST_WORDS", "PARTIAL", "ChatStore", "ChatSummary", "Hit", "Result",
    "StoredMessage", "WholeChat", "title_of",
]  # fmt: skip

Result = TypeVar("Result")

_SUMMARY = (
    "SELECT id, name, title, created, updated, model, (SELECT count(*) FROM messages WHERE chat = chats.id) n_messages "
    "FROM chats"
)
_PATH = """
WITH RECURSIVE path(id, parent, depth) AS (
    SELECT id, parent, 0 FROM messages WHERE id = :head AND chat = :chat
    UNION ALL SELECT messages.id, messages.parent, depth + 1 FROM messages JOIN path ON messages.id = path.parent
    WHERE messages.chat = :chat AND depth < (SELECT count(*) FROM messages WHERE chat = :chat)
) SELECT messages.* FROM path JOIN messages USING (id) ORDER BY depth
"""
"""From the head up, to the first message or once around a circle."""


class ChatStore:
    """The chats of a database. Every method is one transaction; all raise StoreUnavailable."""

    def __init__(self, path: Path | None, say: Say = lambda _: None) -> None:
        """`path` None: nothing is kept. say: announces what takes a while."""
        self.is_kept = path is not None
        self.path = path or Path(":memory:")
        self._connection = open_database(path, say) if path is not None else memory_database()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def create(self, model: str, name: str | None = None, settings: Mapping[str, Any] | None = None) -> int:
        """A new, empty chat. Raises UsageError as `rename`."""
        return self.keep(WholeChat((), None, name, model, settings or {}))

    def keep(self, chat: WholeChat) -> int:
        """A new chat with all its messages. Raises UsageError as `rename`."""
        return self._make(lambda connection: insert(connection, chat))

    def keep_all(self, chats: Iterable[WholeChat]) -> list[int]:
        """New chats with all their messages, all or none; a name that is taken is left out."""
        with translate_errors(self.path), transaction(self._connection) as connection:
            taken = {row["name"] for row in connection.execute("SELECT name FROM chats WHERE name IS NOT NULL")}
            numbers = []
            for chat in chats:
                name = None if chat.name is None else storable(chat.name)
                numbers.append(insert(connection, replace(chat, name=None if name in taken else name)))
                taken.add(name)
        return numbers

    def is_saved(self, chat: int) -> bool:
        """Whether a chat outlasts the program."""
        return self.is_kept

    def add(self, chat: int, parent: int | None, message: StoredMessage, is_head: bool = True) -> int:
        """Adds a message after `parent`; returns its id. is_head: the chat continues there.

        A person's first message is the title.
        """
        return self._write(chat, lambda connection: add(connection, chat, parent, message, is_head))

    def update(self, message: int, content: str, state: str = DONE, extra: Mapping[str, Any] | None = None) -> None:
        """Changes a message that is being written."""
        content = storable(content)
        values = (content, spaced(content), state, None if extra is None else json.dumps(dict(extra)), message)
        chat = self._chat_of(message)

        def change(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE messages SET content = ?, spaced = ?, state = ?, extra = coalesce(?, extra) WHERE id = ?",
                values,
            )
            connection.execute("UPDATE chats SET updated = ? WHERE id = ?", (time.time(), chat))

        self._write(chat, change)

    def remove(self, message: int) -> None:
        """Removes a message and all after it; a chat in which nothing else was asked loses its title."""
        chat = self._chat_of(message)

        def change(connection: sqlite3.Connection) -> None:
            delete_below(connection, message)
            connection.execute(
                "UPDATE chats SET title = '' WHERE id = ? AND NOT EXISTS "
                "(SELECT 1 FROM messages WHERE chat = chats.id AND role = 'user')",
                (chat,),
            )

        self._write(chat, change)

    def set_head(self, chat: int, message: int | None) -> None:
        """Sets the last message of the current branch."""
        self._set(chat, "head", message)

    def set_model(self, chat: int, model: str) -> None:
        """Sets the model that answers from now on."""
        self._set(chat, "model", model)

    def set_settings(self, chat: int, settings: Mapping[str, Any]) -> None:
        """System prompt, samplers, template: what the chat continues with."""
        self._set(chat, "settings", json.dumps(dict(settings)))

    def settings(self, chat: int) -> dict[str, Any]:
        """The settings of `set_settings`, without damaged ones."""
        return settings_of(self._one("SELECT settings FROM chats WHERE id = ?", chat)["settings"], [])

    def path_of(self, chat: int) -> list[StoredMessage]:
        """The messages of the current branch, the first one first; of a damaged chat those that can be found."""
        return self._path(chat, [])

    def path_to(self, chat: int, message: int | None) -> list[StoredMessage]:
        """The messages from the first one to this one; none for None."""
        rows = self._found(chat, _PATH, {"chat": chat, "head": message})
        return path_in(messages_of(rows, []), [])

    def tree_of(self, chat: int) -> list[StoredMessage]:
        """All messages, parents before their children, also where the database says otherwise."""
        return self._tree(chat, [])

    def damage_of(self, chat: int) -> list[str]:
        """The damages of a chat, a sentence each; the chat is read without what is damaged."""
        damage: list[str] = []
        settings_of(self._one("SELECT settings FROM chats WHERE id = ?", chat)["settings"], damage)
        self._tree(chat, damage)
        self._path(chat, damage)
        return list(dict.fromkeys(damage))

    def summary(self, chat: int) -> ChatSummary:
        """The chat's row in a list of chats."""
        return summary_of(self._one(f"{_SUMMARY} WHERE id = ?", chat))

    def latest(self, limit: int = -1) -> list[ChatSummary]:
        """The chats by their last message, newest first, whatever the clock says; -1 for all."""
        newest = "(SELECT max(id) FROM messages WHERE chat = chats.id) DESC, id DESC"
        with translate_errors(self.path, "read"):
            chosen = f"SELECT id FROM chats ORDER BY {newest} LIMIT ?"
            rows = self._connection.execute(f"{_SUMMARY} WHERE id IN ({chosen}) ORDER BY {newest}", (limit,))
            return [summary_of(row) for row in rows]

    def search(self, text: str, limit: int = 20) -> list[Hit]:
        """Messages with all the words, the newest first; `word*` is a beginning. Raises UsageError for no word, and
        for more than MOST_WORDS.

        Not the best first: to rank every message with a common word takes seconds.
        """
        wanted = query_of(text)
        found = (
            "SELECT messages.chat, messages.id, messages.role, snippet(words, 0, '', '', ' ... ', ?) excerpt "
            "FROM words JOIN messages ON messages.id = words.rowid JOIN chats ON chats.id = messages.chat "
            "WHERE words MATCH ? ORDER BY words.rowid DESC LIMIT ?"
        )
        with translate_errors(self.path, "read"):
            rows = self._connection.execute(found, (excerpt_words(wanted), wanted, limit)).fetchall()
        said = [(row["id"], text_of(row["role"]), excerpt_of(row["excerpt"])) for row in rows]
        return [Hit(self.summary(row["chat"]), *one) for row, one in zip(rows, said, strict=True)]

    def find(self, wanted: str, lists: str = "`llamachat sessions list`") -> int:
        """The chat of that name, number, or beginning of a title. Raises UsageError where there is none, or several.

        Digits are a number and nothing else. lists: what shows the chats, for the error.
        """
        wanted = storable(wanted)
        if not wanted.strip():
            raise UsageError("give the name of a chat, its number, or the beginning of its title")
        title = None if wanted.isdecimal() else f"{_escaped(wanted)}%"
        with translate_errors(self.path, "read"):
            rows = self._connection.execute(
                "SELECT id, name, title FROM chats WHERE name = ? OR id = ? OR title LIKE ? ESCAPE '\\' "
                "ORDER BY updated DESC",
                (wanted, _number(wanted), title),
            ).fetchall()
        exact = [row for row in rows if row["name"] == wanted or str(row["id"]) == wanted]
        rows = exact[:1] or rows
        if not rows:
            raise UsageError(f"there is no chat {wanted!r}; {lists} shows them")
        if len(rows) > 1:
            told_of = ", ".join(f"{row['id']} ({row['title']})" for row in rows[:3])
            raise UsageError(f"{wanted!r} could be {len(rows)} chats: {told_of}; give the number")
        return int(rows[0]["id"])

    def named(self, name: str) -> int | None:
        """The chat of that name or number."""
        with translate_errors(self.path, "read"):
            row = self._connection.execute(
                "SELECT id FROM chats WHERE name = ? OR id = ?", (storable(name), _number(name))
            ).fetchone()
        return None if row is None else int(row["id"])

    def forget_empty(self, chat: int) -> None:
        """Removes a chat without messages."""
        empty = "DELETE FROM chats WHERE id = ? AND NOT EXISTS (SELECT 1 FROM messages WHERE chat = chats.id)"
        self._write(chat, lambda connection: connection.execute(empty, (chat,)))

    def forget(self, chat: int) -> None:
        """Removes a chat without overwriting its pages (`delete` does). A damaged word index is rebuilt."""
        try:
            self._write(chat, lambda connection: delete_all(connection, chat))
        except StoreUnavailable as error:
            if isinstance(error.__cause__, OSError | sqlite3.OperationalError):  # the disk, or another program
                raise
            self._index_anew()
            self._write(chat, lambda connection: delete_all(connection, chat))

    def rename(self, chat: int, name: str) -> None:
        """Gives a name. Raises UsageError for one that is taken, empty, or could be taken for a number."""
        self._write(chat, lambda connection: name_chat(connection, chat, name))

    def fork(self, chat: int, name: str | None = None) -> int:
        """Another chat with the messages of the current branch."""
        summary, path = self.summary(chat), self.path_of(chat)
        head = path[-1].id if path else None
        return self.keep(WholeChat(tuple(path), head, name, summary.model, self.settings(chat)))

    def delete(self, chat: int) -> bool:
        """Deletes a chat and all its words; freed pages are overwritten.

        False if another program is reading the database, so that its log still has them: `tidy` removes them.
        """
        try:
            self.forget(chat)
            with translate_errors(self.path):
                self._connection.execute("INSERT INTO words(words) VALUES ('optimize')")
        except StoreUnavailable as error:
            self._without_room(error, lambda connection: delete_all(connection, chat))
        return self._emptied_log()

    def tidy(self) -> bool:
        """Rewrites the file without what was deleted; False as `delete`."""
        try:
            self._index_anew()
            with translate_errors(self.path):
                self._connection.execute("VACUUM")
        except StoreUnavailable as error:
            self._without_room(error, lambda _: None)
        return self._emptied_log()

    def _without_room(self, error: StoreUnavailable, change: Callable[[sqlite3.Connection], None]) -> None:
        """A change that frees space on a full disk. Raises `error` again if the disk is not full."""
        cause = error.__cause__
        if not self.is_kept or not isinstance(cause, Exception) or not no_room(cause, self.path, NEEDED):
            raise error
        self._connection.close()
        try:
            with translate_errors(self.path):
                change_without_room(self.path, change)
        finally:
            self._connection = open_database(self.path)

    def _index_anew(self) -> None:
        with translate_errors(self.path):
            index_anew(self._connection)

    def _of(self, chat: int) -> sqlite3.Connection:
        """Where a chat is."""
        return self._connection

    def _chat_of(self, message: int) -> int:
        """The chat of a message; 0 for one that is gone."""
        with translate_errors(self.path, "read"):
            row = self._connection.execute("SELECT chat FROM messages WHERE id = ?", (message,)).fetchone()
        return int(row["chat"]) if row is not None else 0

    def _write(self, chat: int, change: Callable[[sqlite3.Connection], Result]) -> Result:
        """A change of a chat in one transaction; `change` is called again after a failure that can be retried."""
        connection = self._of(chat)
        with translate_errors(self.path), transaction(connection):
            return change(connection)

    def _make(self, change: Callable[[sqlite3.Connection], int]) -> int:
        """A change that makes a chat; its id."""
        with translate_errors(self.path), transaction(self._connection):
            return change(self._connection)

    def _emptied_log(self) -> bool:
        with translate_errors(self.path):
            return not self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]

    def _set(self, chat: int, column: str, value: object) -> None:
        self._write(
            chat, lambda connection: connection.execute(f"UPDATE chats SET {column} = ? WHERE id = ?", (value, chat))
        )

    def _one(self, query: str, chat: int) -> sqlite3.Row:
        with translate_errors(self.path, "read"), closing(self._of(chat).execute(query, (chat,))) as cursor:
            row = cursor.fetchone()
        if row is None:
            raise UsageError(f"there is no chat {chat}")
        return row  # type: ignore[no-any-return]

    def _path(self, chat: int, damage: list[str]) -> list[StoredMessage]:
        head = self._one("SELECT head FROM chats WHERE id = ?", chat)["head"]
        if head is None:
            return []
        rows = self._found(chat, _PATH, {"chat": chat, "head": head})
        if not rows:
            damage.append("its last message is missing; the newest one there is stands for it")
            newest = self._one("SELECT max(id) head FROM messages WHERE chat = ?", chat)["head"]
            rows = self._found(chat, _PATH, {"chat": chat, "head": newest})
        return path_in(messages_of(rows, damage), damage)

    def _tree(self, chat: int, damage: list[str]) -> list[StoredMessage]:
        rows = self._found(chat, "SELECT * FROM messages WHERE chat = :chat ORDER BY id", {"chat": chat})
        return tree_in(messages_of(rows, damage), damage)

    def _found(self, chat: int, query: str, values: Mapping[str, object]) -> list[sqlite3.Row]:
        with translate_errors(self.path, "read"):
            return self._of(chat).execute(query, values).fetchall()


def _number(text: str) -> int | None:
    """The integer that a text is, if SQLite can store it."""
    return int(text) if text.isdecimal() and len(text) < 18 else None


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
