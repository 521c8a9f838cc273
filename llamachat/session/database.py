"""The database of chats: one SQLite file, for its owner only, whose schema has a version and is migrated by steps."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from llamachat.errors import LlamaChatError

PATIENCE_S = 10.0
"""How long another program's write is waited for."""

CHATS = """
CREATE TABLE chats (
    id INTEGER PRIMARY KEY,
    name TEXT UNIQUE,
    title TEXT NOT NULL DEFAULT '',
    created REAL NOT NULL,
    updated REAL NOT NULL,
    model TEXT NOT NULL DEFAULT '',
    settings TEXT NOT NULL DEFAULT '{}',
    head INTEGER REFERENCES messages(id) ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED
) STRICT;
CREATE INDEX chats_by_time ON chats(updated DESC);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY,
    chat INTEGER NOT NULL REFERENCES chats(id) ON DELETE CASCADE,
    parent INTEGER REFERENCES messages(id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    content TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'done',
    created REAL NOT NULL,
    extra TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX messages_by_chat ON messages(chat);
CREATE INDEX messages_by_parent ON messages(parent);
CREATE VIRTUAL TABLE words USING fts5(content, content=messages, content_rowid=id, prefix='3');
CREATE TRIGGER words_in AFTER INSERT ON messages BEGIN
    INSERT INTO words(rowid, content) VALUES (new.id, new.content);
END;
CREATE TRIGGER words_out AFTER DELETE ON messages BEGIN
    INSERT INTO words(words, rowid, content) VALUES ('delete', old.id, old.content);
END;
CREATE TRIGGER words_changed AFTER UPDATE OF content ON messages BEGIN
    INSERT INTO words(words, rowid, content) VALUES ('delete', old.id, old.content);
    INSERT INTO words(rowid, content) VALUES (new.id, new.content);
END;
"""

MIGRATIONS: tuple[str, ...] = (CHATS,)
"""From each version of the schema to the next; an empty file has version 0."""


class StoreUnavailable(LlamaChatError):
    """The database cannot be read or written, with the reason."""


def open_database(path: Path) -> sqlite3.Connection:
    """The database in autocommit mode, made or migrated where that is due; an older one is copied before.

    Raises StoreUnavailable for one that is newer than this program, damaged, or cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailable(f"{path}: chats cannot be kept ({_reason(error)})") from error
    try:
        with told(path):
            connection.row_factory = sqlite3.Row
            for pragma in ("journal_mode = WAL", "foreign_keys = ON", "secure_delete = ON", "synchronous = FULL"):
                connection.execute(f"PRAGMA {pragma}")
            _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def memory_database() -> sqlite3.Connection:
    """The same, of which nothing is kept."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    _migrate(connection, Path(":memory:"))
    return connection


@contextmanager
def told(path: Path) -> Iterator[None]:
    """What SQLite raises, as StoreUnavailable."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreUnavailable(f"{path}: chats cannot be kept ({_reason(error)})") from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def version_of(connection: sqlite3.Connection) -> int:
    """The version of the schema."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    newest, found = len(MIGRATIONS), version_of(connection)
    if found > newest:
        raise StoreUnavailable(
            f"{path} was written by a newer version of this program (schema {found}, this one knows {newest}); update "
            "llamachat, or set another folder with LLAMACHAT_DATA"
        )
    if found == newest:
        return
    if found:
        _copy(connection, path.with_name(f"{path.name}.schema-{found}"))
    with transaction(connection):
        for version in range(version_of(connection), newest):  # another program may have been faster
            for statement in _statements(MIGRATIONS[version]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")


def _copy(connection: sqlite3.Connection, target: Path) -> None:
    """A copy of the database as it is, whole or not at all."""
    scratch = target.with_name(f"{target.name}.{os.getpid()}")
    os.close(os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600))
    copy = sqlite3.connect(scratch)
    try:
        connection.backup(copy)
    finally:
        copy.close()
    os.replace(scratch, target)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; those of triggers have semicolons inside."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
