"""Chats that continue in memory where they cannot be saved, or where a person wants it so.

A chat in memory keeps its numbers of the file. New chats and messages get numbers that no file reaches.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from llamachat.session.chats import ChatStore, Result
from llamachat.session.database import StoreUnavailable, memory_database, transaction, translate_errors

BEYOND = 1 << 40
_FIRST = f"""
INSERT INTO chats(id, created, updated) VALUES ({BEYOND}, 0, 0);
INSERT INTO messages(id, chat, role, content, created) VALUES ({BEYOND}, {BEYOND}, '', '', 0);
"""
"""A chat and a message that nobody sees, from which SQLite continues to count."""


class FallbackStore(ChatStore):
    """A store whose writes do not fail because of the disk; `say` announces once that nothing is saved any more.

    Refused writes are tried again when the store is closed.
    """

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        super().__init__(path, say)
        self._say = say
        self._loose: sqlite3.Connection | None = None
        self._detached: set[int] = set()
        self._refused: set[int] = set()

    def close(self) -> None:
        """Closes the connections; chats in memory are lost unless the disk accepts them now."""
        if self._loose is not None:
            for chat in self._refused:
                with suppress(StoreUnavailable):  # of this chat, as one that was deleted elsewhere
                    if self._bring_back(chat):
                        self._say(f"{self.path}: the chat could be kept after all")
            self._loose.close()
        super().close()

    def is_saved(self, chat: int) -> bool:
        """Whether a chat outlasts the program."""
        return chat not in self._detached

    def detach(self, chat: int) -> None:
        """From now on changes of a chat are not saved. A chat that does not exist is ignored.

        Raises StoreUnavailable where it cannot even be read.
        """
        if chat in self._detached:
            return
        with translate_errors(self.path):
            rows = {name: self._rows(name, column, chat) for name, column in (("chats", "id"), ("messages", "chat"))}
            if not rows["chats"]:
                return
            self._memory.execute("PRAGMA foreign_keys = OFF")  # a damaged chat is taken as it is
            try:
                with transaction(self._memory) as memory:
                    for name, found in rows.items():
                        for row in found:
                            marks = ", ".join("?" * len(row))
                            memory.execute(f"INSERT INTO {name}({', '.join(row.keys())}) VALUES ({marks})", tuple(row))
            finally:
                self._memory.execute("PRAGMA foreign_keys = ON")
        self._detached.add(chat)

    def _rows(self, table: str, column: str, chat: int) -> list[sqlite3.Row]:
        return self._connection.execute(f"SELECT * FROM {table} WHERE {column} = ? ORDER BY id", (chat,)).fetchall()

    @property
    def _memory(self) -> sqlite3.Connection:
        if self._loose is None:
            self._loose = memory_database()
            self._loose.executescript(_FIRST)
        return self._loose

    def _of(self, chat: int) -> sqlite3.Connection:
        return self._memory if chat in self._detached else self._connection

    def _chat_of(self, message: int) -> int:
        if self._loose is not None:
            row = self._loose.execute("SELECT chat FROM messages WHERE id = ?", (message,)).fetchone()
            if row is not None:
                return int(row["chat"])
        return super()._chat_of(message)

    def _write(self, chat: int, change: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            return super()._write(chat, change)
        except StoreUnavailable as error:
            if chat in self._detached:
                raise
            with suppress(StoreUnavailable):
                self.detach(chat)
            if chat not in self._detached:
                raise
            self._warn(chat, error)
            return super()._write(chat, change)

    def _make(self, change: Callable[[sqlite3.Connection], int]) -> int:
        try:
            return super()._make(change)
        except StoreUnavailable as error:
            with transaction(self._memory) as memory:
                chat = change(memory)
            self._detached.add(chat)
            self._warn(chat, error)
            return chat

    def _warn(self, chat: int, error: StoreUnavailable) -> None:
        if not self._refused:
            self._say(
                f"{error}; the chat continues, but nothing of it is kept from here on; what was kept before stays"
            )
        self._refused.add(chat)

    def _bring_back(self, chat: int) -> bool:
        """Writes the changes of a chat in memory into the file; what is new gets new numbers there."""
        told_of = self._memory.execute("SELECT * FROM chats WHERE id = ?", (chat,)).fetchone()
        messages = self._memory.execute("SELECT * FROM messages WHERE chat = ? ORDER BY id", (chat,)).fetchall()
        if told_of is None or not messages:
            return False
        names = ("name", "title", "created", "updated", "model", "settings")
        values = [told_of[name] for name in names]
        new: dict[int | None, int | None] = {None: None}
        with translate_errors(self.path), transaction(self._connection) as file:
            same = file.execute("SELECT 1 FROM chats WHERE name = ? AND id <> ?", (values[0], chat)).fetchone()
            if same is not None:  # another one took the name meanwhile
                values[0] = None
            if chat > BEYOND:
                made = file.execute(f"INSERT INTO chats({', '.join(names)}) VALUES (?, ?, ?, ?, ?, ?)", values)
                chat = int(made.lastrowid or 0)
            for message in messages:
                new[message["id"]] = _put(file, chat, new.get(message["parent"]), message)
            changes = ", ".join(f"{name} = ?" for name in names)
            head = new.get(told_of["head"])
            file.execute(f"UPDATE chats SET {changes}, head = ? WHERE id = ?", (*values, head, chat))
        return True


def _put(file: sqlite3.Connection, chat: int, parent: int | None, message: sqlite3.Row) -> int:
    """A message of the memory in the file, changed there or new; its number there."""
    said = [message[name] for name in ("role", "content", "state", "created", "extra", "spaced")]
    if message["id"] < BEYOND:
        file.execute(
            "UPDATE messages SET role = ?, content = ?, state = ?, created = ?, extra = ?, spaced = ? WHERE id = ?",
            (*said, message["id"]),
        )
        return int(message["id"])
    made = file.execute(
        "INSERT INTO messages(chat, parent, role, content, state, created, extra, spaced) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (chat, parent, *said),
    )
    return int(made.lastrowid or 0)
