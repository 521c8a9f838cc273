"""Changes of a database of chats, each within the caller's transaction."""

import json
import sqlite3
import time

from llamachat.errors import UsageError
from llamachat.session.records import StoredMessage, WholeChat, storable, title_of
from llamachat.session.searching import spaced

LARGEST_NUMBER = 1 << 62
"""Of a chat; SQLite ends at twice that."""

_BELOW = """
WITH RECURSIVE below(id) AS (
    VALUES (?) UNION SELECT messages.id FROM messages JOIN below ON messages.parent = below.id
) SELECT id FROM below
"""


def insert(connection: sqlite3.Connection, chat: WholeChat) -> int:
    """A new chat with all its messages; its number. Raises UsageError as `name_chat`."""
    now = time.time()
    said = storable(chat.model), storable(chat.title), json.dumps(dict(chat.settings))
    made = connection.execute(
        "INSERT INTO chats(id, created, updated, model, title, settings) VALUES (?, ?, ?, ?, ?, ?)",
        (_free_number(connection), chat.created or now, now, *said),
    )
    number = int(made.lastrowid or 0)
    if chat.name is not None:
        name_chat(connection, number, chat.name)
    new: dict[int | None, int | None] = {None: None}
    for message in chat.messages:
        new[message.id] = add(connection, number, new[message.parent], message)
    connection.execute(
        "UPDATE chats SET head = ?, updated = ? WHERE id = ?", (new[chat.head], chat.updated or now, number)
    )
    return number


def _free_number(connection: sqlite3.Connection) -> int | None:
    """The number of a new chat, where SQLite's own choice would find messages there; None: it chooses.

    In a damaged database messages may belong to a missing chat: they must not join another one.
    """
    query = "SELECT (SELECT max(id) FROM chats) last, (SELECT max(chat) FROM messages) strays"
    last, strays = connection.execute(query).fetchone()
    return strays + 1 if type(strays) is int and (last or 0) < strays < LARGEST_NUMBER else None


def name_chat(connection: sqlite3.Connection, chat: int, name: str) -> None:
    """Gives a name. Raises UsageError for one that is taken, empty, or could be taken for a number."""
    if not name.strip() or name.isdecimal():
        raise UsageError(f"a chat cannot be named {name!r}: names are not empty and not only digits")
    try:
        connection.execute("UPDATE chats SET name = ? WHERE id = ?", (storable(name), chat))
    except sqlite3.IntegrityError as error:
        raise UsageError(f"there is a chat named {name!r} already") from error


def add(
    connection: sqlite3.Connection, chat: int, parent: int | None, message: StoredMessage, is_head: bool = True
) -> int:
    """Adds a message after `parent`; its id. is_head: the chat continues there."""
    now, content = time.time(), storable(message.content)
    values = (chat, parent, storable(message.role), content, storable(message.state), message.created or now)
    made = connection.execute(
        "INSERT INTO messages(chat, parent, role, content, state, created, extra, spaced) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*values, json.dumps(message.extra), spaced(content)),
    )
    connection.execute("UPDATE chats SET updated = ? WHERE id = ?", (now, chat))
    if is_head:
        connection.execute("UPDATE chats SET head = ? WHERE id = ?", (made.lastrowid, chat))
    if message.role == "user":
        connection.execute("UPDATE chats SET title = ? WHERE id = ? AND title = ''", (title_of(content), chat))
    return int(made.lastrowid or 0)


def delete_below(connection: sqlite3.Connection, message: int) -> None:
    """Deletes a message and all after it."""
    _delete(connection, [row["id"] for row in connection.execute(_BELOW, (message,))])


def delete_all(connection: sqlite3.Connection, chat: int) -> None:
    """Deletes a chat and exactly its own messages, whatever their parents are."""
    _delete(connection, [row["id"] for row in connection.execute("SELECT id FROM messages WHERE chat = ?", (chat,))])
    connection.execute("DELETE FROM chats WHERE id = ?", (chat,))


def _delete(connection: sqlite3.Connection, messages: list[int]) -> None:
    """Deletes messages. Links to them are cut first: SQLite limits the depth, and a damaged link may lead
    anywhere.
    """
    ids = [(message,) for message in messages]
    connection.executemany("UPDATE messages SET parent = NULL WHERE parent = ?", ids)
    connection.executemany("DELETE FROM messages WHERE id = ?", ids)
