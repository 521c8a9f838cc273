"""Databases of chats that anything may have happened to: whatever it was, there is an answer or a sentence.

LLAMACHAT_FUZZ says how many databases are damaged, for each of the two ways: in their rows, and in their bytes.
"""

import json
import os
import random
import shutil
import sqlite3
from contextlib import suppress

import pytest

from llamachat.errors import LlamaChatError
from llamachat.session.chats import ChatStore, StoredMessage
from llamachat.session.dates import date_of
from llamachat.session.exports import WRITERS, exported
from llamachat.session.imports import read_chats

CASES = int(os.environ.get("LLAMACHAT_FUZZ", "20"))
COLUMNS = {
    "chats": ("id", "name", "title", "created", "updated", "model", "settings", "head"),
    "messages": ("id", "chat", "parent", "role", "content", "state", "created", "extra", "spaced"),
}
DEEP = "[" * 900 + "]" * 900
VALUES = (
    "NULL", "0", "1", "-1", "5", "12", "9223372036854775807", "-9223372036854775808", "1e20", "-1e300", "9e999", "''",
    "'{'", "'[]'", "'null'", "'{}'", f"'{DEEP}'", f"""'{{"a": {DEEP}}}'""", "'{\"a\": NaN, \"b\": 1e999}'",
    """'{"forgotten": "x", "system": [], "summary": 1, "set": 5}'""", """'{"forgotten": -5, "tool_calls": "x"}'""",
    "'{\"a\": \"\\ud800\"}'", "CAST(x'ff61fe' AS TEXT)", "CAST(x'edA080' AS TEXT)", "char(0, 27, 155)", "x'00ff'",
    "'name'", "'work'", "'部署'", "char(31)", "hex(zeroblob(20000))", "'1'", "'%'",
)  # fmt: skip
"""SQL expressions."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A database with some chats that have branches, and one of everything that a message may have."""
    path = tmp_path_factory.mktemp("sound") / "chats.db"
    with ChatStore(path) as store:
        for name in ("work", "play", None):
            chat, ids = store.create("m", name, {"system": "Be brief", "temp": 0.5}), [None]
            for number in range(6):
                extra = {"tool_calls": [{"name": "f"}], "n_prompt": 3} if number == 3 else {}
                message = StoredMessage(0, None, ("user", "assistant")[number % 2], f"部署 text {number}", extra=extra)
                ids.append(store.add(chat, ids[-1 - (number == 4)], message))
        store.tidy()
    return path


def use(path, folder, exact):
    """Everything that is done with chats; only errors that have a sentence may come of it.

    exact: the file itself is sound, so that what is written can be found again.
    """
    with suppress(LlamaChatError), ChatStore(path) as store:
        chats = list(range(1, 5))
        with suppress(LlamaChatError):
            chats += [one.id for one in store.latest() if date_of(one.updated) is not None]
        for words in ("text", "部署", "te*"):
            with suppress(LlamaChatError):
                store.search(words)
        with suppress(LlamaChatError):
            store.find("work")
        for chat in dict.fromkeys(chats):
            with suppress(LlamaChatError):
                use_chat(store, chat, folder, exact)
        with suppress(LlamaChatError):
            store.tidy()


def use_chat(store, chat, folder, exact):
    """One chat: read, continued, forked, exported and imported again, deleted."""
    damage = store.damage_of(chat)
    assert all(isinstance(one, str) for one in damage)
    path, tree = store.path_of(chat), store.tree_of(chat)
    assert len({one.id for one in path}) == len(path)
    seen = {None}
    for message in tree:
        assert message.parent in seen
        seen.add(message.id)
    whole = exported(store, chat)
    for form in WRITERS:
        WRITERS[form](whole).encode("utf-8", "replace")
    document = WRITERS["json"](whole)
    assert json.loads(document, parse_constant=pytest.fail)["messages"] is not None
    file = folder / "chat.json"
    file.write_bytes(document.encode("utf-8", "replace"))
    (again,) = read_chats(file)
    with ChatStore(None) as other:
        kept = other.keep(again) if again.name is None else other.keep_all([again])[0]
        assert len(other.tree_of(kept)) == len(tree)
        assert other.damage_of(kept) == []
    with suppress(LlamaChatError):
        parent = path[-1].id if path else None
        store.update(store.add(chat, parent, StoredMessage(0, None, "user", "more")), "more 部署")
    with suppress(LlamaChatError):
        damage = store.damage_of(store.fork(chat))
        assert not (exact and damage)
    store.delete(chat)
    assert not exact or all(one.id != chat for one in store.latest())


@pytest.mark.parametrize("seed", range(CASES))
def test_any_rows_can_be_used(tmp_path, sound, seed):
    chance, path = random.Random(seed), tmp_path / "chats.db"
    shutil.copy(sound, path)
    with sqlite3.connect(path) as connection:
        for _ in range(chance.randint(1, 6)):
            table = chance.choice(list(COLUMNS))
            change = f"{chance.choice(COLUMNS[table])} = {chance.choice(VALUES)}"
            where = f"id = {chance.randint(1, 18)}" if chance.random() < 0.7 else "1"
            with suppress(sqlite3.Error):  # a type or a number that the table itself refuses
                connection.execute(f"UPDATE {table} SET {change} WHERE {where}")
    connection.close()
    use(path, tmp_path, exact=True)


@pytest.mark.parametrize("seed", [*range(CASES), 27, 71])  # these two: bytes that are no text in SQLite's own messages
def test_any_bytes_can_be_used(tmp_path, sound, seed):
    chance, path = random.Random(seed), tmp_path / "chats.db"
    raw = bytearray(sound.read_bytes())
    for _ in range(chance.choice((1, 3, 10, 100))):
        at = chance.randrange(len(raw))
        match chance.randrange(4):
            case 0:
                raw[at] ^= 1 << chance.randrange(8)
            case 1:
                raw[at : at + 4] = chance.randbytes(4)
            case 2:
                to = chance.randrange(len(raw))
                raw[at : at + 64] = raw[to : to + 64]
            case 3:
                raw[at : at + 500] = bytes(500)
    if chance.random() < 0.1:
        del raw[chance.randrange(len(raw)) :]
    path.write_bytes(raw)
    use(path, tmp_path, exact=False)
