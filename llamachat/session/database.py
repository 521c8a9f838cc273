"""The database of chats: one SQLite file, for its owner only, whose schema has a version and is migrated by steps."""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from llamachat.errors import LlamaChatError
from llamachat.session.room import no_room
from llamachat.session.searching import spaced

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

WORDS = """CREATE VIRTUAL TABLE words USING fts5(content, content=texts, content_rowid=id, prefix='3',
    tokenize="unicode61 categories 'L* N* Co M*' separators '\ufe0e\ufe0f\u20e3'");"""
"""The index of words. Marks belong to the letters they follow, but for those that only choose how a sign looks."""

CHARACTERS = f"""
ALTER TABLE messages ADD COLUMN spaced TEXT;
UPDATE messages SET spaced = spaced_text(content) WHERE spaced_text(content) IS NOT NULL;
DROP TRIGGER words_in;
DROP TRIGGER words_out;
DROP TRIGGER words_changed;
DROP TABLE words;
CREATE VIEW texts AS SELECT id, coalesce(spaced, content) AS content FROM messages;
{WORDS}
INSERT INTO words(words) VALUES ('rebuild');
CREATE TRIGGER words_in AFTER INSERT ON messages BEGIN
    INSERT INTO words(rowid, content) VALUES (new.id, coalesce(new.spaced, new.content));
END;
CREATE TRIGGER words_out AFTER DELETE ON messages BEGIN
    INSERT INTO words(words, rowid, content) VALUES ('delete', old.id, coalesce(old.spaced, old.content));
END;
CREATE TRIGGER words_changed AFTER UPDATE OF content, spaced ON messages BEGIN
    INSERT INTO words(words, rowid, content) VALUES ('delete', old.id, coalesce(old.spaced, old.content));
    INSERT INTO words(rowid, content) VALUES (new.id, coalesce(new.spaced, new.content));
END;
CREATE INDEX chats_by_head ON chats(head);
"""
"""`spaced`: the text of a message whose script has no blanks between words, with marks (`searching.py`); else NULL."""

COPY = ".schema-"
"""Follows the name of the database in the names of its copies, before the version of their schema."""

MIGRATIONS: tuple[str, ...] = (CHATS, CHARACTERS)
"""From each version of the schema to the next; an empty file has version 0."""


NEEDED = 128 << 10
"""Bytes on the disk without which no change can be made: the log, its index, and a page or two."""


LARGE = 20_000_000
"""Bytes of a database from which an update of it takes seconds."""

LARGEST_IN_MEMORY = 500_000_000
"""Bytes of a database that is written anew in memory, where there is no room on the disk."""

PRAGMAS = ("foreign_keys = ON", "secure_delete = ON", "synchronous = FULL")


FAULTS = (OSError, sqlite3.Error, UnicodeDecodeError)
"""What a disk and SQLite raise; the last one where SQLite's own message has the bytes of a damaged file in it."""


Say = Callable[[str], None]


class StoreUnavailable(LlamaChatError):
    """The database cannot be read or written, with the reason."""


def open_database(path: Path, say: Say = lambda _: None) -> sqlite3.Connection:
    """The database in autocommit mode, created or migrated if necessary; an older one is copied first.

    say: announces a migration that takes a while.

    One that cannot be written is opened for reading. Raises StoreUnavailable for one that is newer than this program,
    damaged, or neither to be written nor to be read.
    """
    try:
        return _writable(path, say)
    except FAULTS as error:
        oldest = 1 if _is_of_disk(error) else len(MIGRATIONS)
        reading = None if _is_busy(error) else _readable(path, oldest)
        if reading is None:
            raise StoreUnavailable(f"{path}: chats cannot be kept ({_reason(error, path)})") from error
        return reading


def _writable(path: Path, say: Say) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None, check_same_thread=False)
    try:
        _read_anything(connection)
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        _log_ahead(connection)
        _migrate(connection, path, say)
    except BaseException:
        connection.close()
        raise
    return connection


def _readable(path: Path, oldest: int) -> sqlite3.Connection | None:
    """The database for reading, of a version from `oldest` on.

    One whose log cannot be used beside it is read only if the log is empty.
    """
    log = path.with_name(f"{path.name}-wal")
    try:
        ways = ("mode=ro", "immutable=1") if not log.exists() or not log.stat().st_size else ("mode=ro",)
        if not path.is_file():
            return None
    except OSError:  # a folder that may not be looked into
        return None
    for way in ways:
        with suppress(*FAULTS):
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?{way}", uri=True, check_same_thread=False)
            with suppress(*FAULTS):
                _read_anything(connection)
                if oldest <= version_of(connection) <= len(MIGRATIONS):
                    return connection
            connection.close()
    return None


def _read_anything(connection: sqlite3.Connection) -> None:
    """Rows with names, and texts whose bytes are no UTF-8 with marks in the place of those."""
    connection.row_factory = sqlite3.Row
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Enables the write-ahead log. SQLite does not wait here for another program that does the same."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _is_busy(error: Exception) -> bool:
    return str(getattr(error, "sqlite_errorname", "")).startswith("SQLITE_BUSY")


def memory_database() -> sqlite3.Connection:
    """An empty database in memory with the same schema."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _read_anything(connection)
    connection.execute("PRAGMA foreign_keys = ON")
    _migrate(connection, Path(":memory:"), lambda _: None)
    return connection


def change_without_room(path: Path, change: Callable[[sqlite3.Connection], object]) -> None:
    """A change that deletes something, if the disk has no space for a log; the file becomes smaller.

    The rollback journal is in memory: a kill or a power failure meanwhile may damage the database.
    """
    with closing(sqlite3.connect(path, timeout=PATIENCE_S, isolation_level=None)) as connection:
        _read_anything(connection)
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = MEMORY", "temp_store = MEMORY", *PRAGMAS):
            connection.execute(f"PRAGMA {pragma}")
        with transaction(connection):
            change(connection)
        if path.stat().st_size <= LARGEST_IN_MEMORY:
            connection.execute("VACUUM")
        connection.execute("INSERT INTO words(words) VALUES ('optimize')")


def index_anew(connection: sqlite3.Connection) -> None:
    """Rebuilds the word index from the messages, also if it is damaged."""
    try:
        connection.execute("INSERT INTO words(words) VALUES ('rebuild')")
    except sqlite3.OperationalError:  # the disk, or another program
        raise
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        with transaction(connection):
            connection.execute("DROP TABLE words")
            connection.execute(WORDS)
            connection.execute("INSERT INTO words(words) VALUES ('rebuild')")


@contextmanager
def translate_errors(path: Path, what: str = "kept") -> Iterator[None]:
    """Turns errors of SQLite and the file system into StoreUnavailable. what: "kept" or "read", which failed."""
    try:
        yield
    except FAULTS as error:
        raise StoreUnavailable(f"{path}: chats cannot be {what} ({_reason(error, path)})") from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        with suppress(*FAULTS):
            connection.execute("ROLLBACK")
        raise


def version_of(connection: sqlite3.Connection) -> int:
    """The version of the schema."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: sqlite3.Connection, path: Path, say: Say) -> None:
    found = version_of(connection)
    _refuse_newer(found, path)
    if found == len(MIGRATIONS):
        return
    if found:
        if path.stat().st_size > LARGE:
            say(f"{path}: the chats of an earlier version are updated once, which may take a minute ...")
        _copy(connection, path.with_name(f"{path.name}{COPY}{found}"))
    connection.create_function("spaced_text", 1, spaced, deterministic=True)
    with transaction(connection):
        found = version_of(connection)  # another program may have been faster
        _refuse_newer(found, path)
        for version, script in enumerate(MIGRATIONS[found:], found + 1):
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version}")


def _refuse_newer(found: int, path: Path) -> None:
    if found > len(MIGRATIONS):
        raise StoreUnavailable(
            f"{path} was written by a newer version of this program (schema {found}, this one knows "
            f"{len(MIGRATIONS)}); update llamachat, or set another folder with LLAMACHAT_DATA"
        )


def _copy(connection: sqlite3.Connection, target: Path) -> None:
    """A copy of the database as it is, whole or not at all."""
    scratch = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        scratch.unlink(missing_ok=True)  # of a process that had our number, or a link to somewhere
        os.close(os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(scratch)) as copy:
            connection.backup(copy)
        os.replace(scratch, target)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def copies_of(path: Path) -> list[Path]:
    """Copies from before migrations, and unfinished ones of killed programs."""
    return sorted(path.parent.glob(f"{path.name}{COPY}*"))


def _statements(script: str) -> Iterator[str]:
    """The statements of a script; those of triggers have semicolons inside."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def is_damage(error: BaseException | None) -> bool:
    """Whether SQLite found the file damaged."""
    name = str(getattr(error, "sqlite_errorname", ""))
    return isinstance(error, UnicodeDecodeError) or name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def _is_of_disk(error: Exception) -> bool:
    """Whether the disk or the folder refuses access, and the database itself is intact."""
    return isinstance(error, OSError) or str(getattr(error, "sqlite_errorname", "")).startswith(OF_THE_DISK)


def _reason(error: Exception, path: Path) -> str:
    if is_damage(error):
        return f"the file is damaged: {error}; put a copy of it back, or move it away, and a new one is begun"
    if _is_of_disk(error) and (said := no_room(error, path, NEEDED)):
        return said
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


OF_THE_DISK = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN")
"""What SQLite calls it when it can write neither the database nor its log."""
