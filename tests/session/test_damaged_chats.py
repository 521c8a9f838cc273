"""Chats whose rows say what cannot be: what can be read is read, the rest is said, and they can be deleted."""

import json
import os
import sqlite3
import subprocess
import sys

import pytest

from llamachat.errors import UsageError
from llamachat.session import import_llm
from llamachat.session.chats import ChatStore, StoredMessage
from llamachat.session.dates import date_of
from llamachat.session.exports import WRITERS, exported
from llamachat.session.imports import read_chats
from llamachat.session.reading import DEEPEST, foreign_moment


@pytest.fixture
def path(tmp_path):
    """A database with a chat of four messages, and another one that nothing happens to."""
    path = tmp_path / "chats.db"
    with ChatStore(path) as store:
        for name in ("damaged", "sound"):
            parent, chat = None, store.create("m", name, {"system": "Be brief"})
            for number in range(4):
                role = ("user", "assistant")[number % 2]
                parent = store.add(chat, parent, StoredMessage(0, None, role, f"{name} {number}"))
    return path


def change(path, *statements):
    """What another program, or a disk, does to a database."""
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def contents(messages):
    return [one.content for one in messages]


WHOLE = [f"damaged {number}" for number in range(4)]


@pytest.mark.parametrize(
    ("statement", "path_of", "said"),
    [
        ("UPDATE messages SET parent = 1 WHERE id = 1", WHOLE, "message 1 comes after itself"),
        ("UPDATE messages SET parent = 4 WHERE id = 1", WHOLE, "message 1 comes after itself"),
        ("UPDATE messages SET parent = 2 WHERE id = 2", WHOLE[1:], "message 2 comes after itself"),
        ("UPDATE messages SET parent = 5 WHERE id = 3", WHOLE[2:], "the message before message 3 is missing"),
        ("UPDATE messages SET parent = 999 WHERE id = 2", WHOLE[1:], "the message before message 2 is missing"),
        ("UPDATE chats SET head = 999 WHERE id = 1", WHOLE, "its last message is missing"),
        ("UPDATE chats SET head = 6 WHERE id = 1", WHOLE, "its last message is missing"),
        ("UPDATE chats SET settings = '{' WHERE id = 1", WHOLE, "its settings are damaged"),
        ("UPDATE chats SET settings = '[]' WHERE id = 1", WHOLE, "its settings are damaged"),
        ("UPDATE messages SET extra = '{' WHERE id = 2", WHOLE, "belongs to message 2"),
        (f"UPDATE messages SET extra = '{'[' * 5000}' WHERE id = 2", WHOLE, "belongs to message 2"),
        ("UPDATE messages SET state = '' WHERE id = 2", WHOLE, None),
        ("UPDATE messages SET created = 1e300 WHERE id = 2", WHOLE, None),
        ("UPDATE chats SET updated = 9e999, created = -1e20 WHERE id = 1", WHOLE, None),
    ],
)
def test_a_damaged_chat_is_read_as_far_as_it_can_be(path, statement, path_of, said):
    change(path, statement)
    with ChatStore(path) as store:
        assert contents(store.path_of(1)) == path_of
        assert sorted(contents(store.tree_of(1))) == WHOLE
        told = store.damage_of(1)
        assert (not told) if said is None else any(said in one for one in told)
        assert store.damage_of(2) == []
        assert [one.name for one in store.latest()] == ["sound", "damaged"]
        made = store.fork(1)
        assert contents(store.path_of(made)) == path_of
        assert store.damage_of(made) == []
        document = WRITERS["json"](exported(store, 1))
        assert store.delete(1)
        assert contents(store.path_of(2)) == [f"sound {number}" for number in range(4)]
        assert contents(store.path_of(made)) == path_of
    file = path.with_name("chat.json")
    file.write_text(document)
    (chat,) = read_chats(file)
    assert sorted(contents(chat.messages)) == WHOLE
    assert json.loads(document, parse_constant=pytest.fail)


def test_texts_that_are_no_utf8_are_read_with_marks(path):
    change(path, "UPDATE messages SET content = CAST(x'61ff62' AS TEXT) WHERE id = 2")
    with ChatStore(path) as store:
        assert contents(store.path_of(1))[1] == "a\ufffdb"
        assert store.delete(1)


def test_settings_of_a_wrong_type_are_left_out(path):
    change(path, """UPDATE chats SET settings = '{"forgotten": -3, "system": 5, "summary": [], "temp": NaN}'""")
    with ChatStore(path) as store:
        assert store.settings(1) == {"temp": None}


def test_an_index_of_words_that_is_damaged_keeps_no_chat_from_being_deleted(path):
    change(path, "UPDATE words_data SET block = x'00' WHERE id >= 10")
    with ChatStore(path) as store:
        assert store.delete(1)
        assert [hit.excerpt for hit in store.search("sound")] != []


def test_moments_that_no_calendar_has_have_no_date():
    assert [date_of(moment) for moment in (1e20, -1e20, float("nan"), float("inf"))] == [""] * 4
    assert date_of(86400.0, "%Y") == "1970"


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        (1764492000, 1764492000),
        (1764492000000, 1764492000),
        (1764492000000000, 1764492000),
        (1764492000000000000, 1764492000),
        (1e20, 0.0),
        (10**400, 0.0),
        ("x", 0.0),
        (None, 0.0),
    ],
)
def test_moments_of_other_programs_may_be_in_smaller_units(told, meant):
    assert foreign_moment(told) == meant


def nested(depth):
    return json.loads("[" * depth + "]" * depth)


@pytest.mark.parametrize("place", ["extra", "settings", "tool_calls"])
@pytest.mark.parametrize("depth", [DEEPEST // 2, DEEPEST, 900])
def test_what_can_be_imported_can_be_exported(tmp_path, place, depth):
    deep = {"a": nested(depth)}
    message = {"role": "user", "content": "x", **({} if place == "settings" else {place: deep})}
    file = tmp_path / "chat.json"
    file.write_text(json.dumps({"messages": [message], **({"settings": deep} if place == "settings" else {})}))
    with ChatStore(None) as store:
        if depth >= DEEPEST:
            with pytest.raises(UsageError, match="deep"):
                list(read_chats(file))
            return
        (chat,) = read_chats(file)
        again = json.loads(WRITERS["json"](exported(store, store.keep(chat))))
        kept = again["settings"] if place == "settings" else again["messages"][0]["extra"]
        assert kept == ({"tool_calls": deep} if place == "tool_calls" else deep)


def logs(path, *rows, view=""):
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE kept (id, model, prompt, system, response, conversation_id, datetime_utc, input_tokens, "
            "duration_ms)"
        )
        connection.executemany(f"INSERT INTO kept VALUES ({', '.join('?' * 9)})", rows)
        connection.execute(view or "CREATE VIEW responses AS SELECT * FROM kept")
    connection.close()
    return path


def test_an_llm_log_with_odd_types_is_imported_without_them(tmp_path):
    odd = (1, b"m\xff", 5, b"S", None, None, "yesterday", "many", "1500")
    path = logs(tmp_path / "logs.db", odd, (2, "m", "p", "", "r", None, b"\xff", 7, 1e999))
    first, second = read_chats(path)
    assert [(one.role, one.content) for one in first.messages] == [("system", "S"), ("user", "5"), ("assistant", "")]
    assert first.messages[-1].extra == {"model": "m\ufffd"}
    assert second.messages[-1].extra == {"model": "m", "n_prompt": 7}


ENDLESS = """CREATE VIEW responses AS WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n)
SELECT i id, '' model, '' prompt, '' system, '' response, i conversation_id, '' datetime_utc FROM n"""


def test_an_llm_log_that_never_ends_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(import_llm, "LONGEST_S", 0.1)
    with pytest.raises(UsageError, match="given up"):
        read_chats(logs(tmp_path / "logs.db", view=ENDLESS))


def test_an_llm_log_with_too_much_text_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(import_llm, "LARGEST", 1000)
    rows = [(n, "m", "p" * 100, "", "r", None, "", 1, 1) for n in range(20)]
    with pytest.raises(UsageError, match="too much for one import"):
        read_chats(logs(tmp_path / "logs.db", *rows))


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="no users here")
@pytest.mark.parametrize("closed", ["chats.db", ""])
def test_what_may_not_be_read_is_said(path, closed):
    """In a process of its own: root may read everything, until it is somebody else."""
    path.parent.parent.chmod(0o755)
    for folder in (path.parent, path):
        folder.chmod(0o777)
    (path.parent / closed).chmod(0)
    code = (
        "import os, sys; from pathlib import Path; from llamachat.session.chats import ChatStore\n"
        "from llamachat.session.database import StoreUnavailable, open_database\n"
        "os.getuid() or os.setuid(65534)\n"
        "try: ChatStore(Path(sys.argv[1]))\n"
        "except StoreUnavailable as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60)
    path.parent.chmod(0o700)
    assert "Permission denied" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
