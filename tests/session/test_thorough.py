"""What happens seldom to a database of chats: long talks, wrong clocks, several programs at once, odd texts."""

import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamachat.errors import UsageError
from llamachat.session import database
from llamachat.session import writing as module
from llamachat.session.chats import MOST_WORDS, ChatStore, StoredMessage
from llamachat.session.database import copies_of, open_database
from llamachat.session.exports import WRITERS, exported, write_export
from llamachat.session.imports import read_chats
from llamachat.session.records import storable


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "chats.db"


@pytest.fixture
def store(path):
    with ChatStore(path) as opened:
        yield opened


def long_talk(store, chat, n=3000):
    parent = None
    for number in range(n):
        parent = store.add(chat, parent, StoredMessage(0, None, "user", f"said {number}"))


def test_a_long_talk_can_be_taken_back_and_deleted(store, monkeypatch):
    store._connection.execute("PRAGMA synchronous = OFF")
    chat, other = store.create("m"), store.create("m")
    long_talk(store, chat)
    first = store.path_of(chat)[0].id
    kept = store.add(other, None, StoredMessage(0, None, "user", "stays"))
    store.remove(first + 1)
    assert [one.id for one in store.tree_of(chat)] == [first]
    long_talk(store, chat)
    assert store.delete(chat)
    assert [one.id for one in store.tree_of(other)] == [kept]


def test_the_last_chat_is_the_last_one_whatever_the_clock_says(store, monkeypatch):
    first, second = store.create("m"), store.create("m")
    for chat, clock in ((first, 5e9), (second, 1e9)):
        monkeypatch.setattr(time, "time", lambda clock=clock: clock)
        store.add(chat, None, StoredMessage(0, None, "user", "x"))
        assert store.latest(1)[0].id == chat
    empty = store.create("m")
    assert [one.id for one in store.latest()] == [second, first, empty]


def test_a_title_goes_with_the_only_question(store):
    chat = store.create("m")
    question = store.add(chat, None, StoredMessage(0, None, "user", "never answered"))
    store.remove(question)
    assert store.summary(chat).title == ""
    store.add(chat, None, StoredMessage(0, None, "user", "answered"))
    assert store.summary(chat).title == "answered"


OPENER = """
import sys
from pathlib import Path
from llamachat.session import database
from llamachat.session.chats import ChatStore, StoredMessage
if sys.argv[2] == "new":
    database.MIGRATIONS = (*database.MIGRATIONS, "ALTER TABLE chats ADD COLUMN colour TEXT;")
sys.stdin.readline()
with ChatStore(Path(sys.argv[1])) as store:
    chat = store.create("m")
    store.add(chat, None, StoredMessage(0, None, "user", "there"))
"""


@pytest.mark.parametrize("kind", ["absent", "old"])
def test_programs_that_begin_at_once_make_and_migrate_one_database(path, kind, monkeypatch):
    if kind == "old":
        with ChatStore(path) as store:
            store.create("m", "old")
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, str(path), "new"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(6)
    ]
    time.sleep(0.5)
    for one in openers:
        one.stdin.write(b"\n")
        one.stdin.flush()
    assert [one.communicate(timeout=60)[1] for one in openers] == [b""] * 6
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, "ALTER TABLE chats ADD COLUMN colour TEXT;"))
    with ChatStore(path) as store:
        assert len(store.search("there")) == 6
        assert store._connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert [one.name for one in copies_of(path)] == (["chats.db.schema-2"] if kind == "old" else [])


def test_two_programs_cannot_both_make_a_chat_of_one_name(path, store):
    with ChatStore(path) as other:
        other.create("m", "mine")
        with pytest.raises(UsageError, match="already"):
            store.create("m", "mine")
    assert len(store.latest()) == 1


def test_an_import_that_fails_in_the_middle_keeps_nothing_of_the_chat(store, monkeypatch):
    chat = next(read_chats_of('{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}'))
    real, calls = module.add, []

    def failing(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(module, "add", failing)
    with pytest.raises(KeyboardInterrupt):
        store.keep(chat)
    assert store.latest() == []


def read_chats_of(text):
    from llamachat.session.imports import _of_json

    return _of_json(text, "text")


ODD = ['"', '""', '"""', "AND", "NOT", "a AND", "NEAR(a b)", "^a", "a:b", "{a} : b", "-a", "+", "a*b*", "**a", "(", ")"]
ODD += ["'", ";--", "a\x00b", "\ud800", "é*", "漢字", "\u200b", "a" * 100_000, "[x](y)", "%", "\\", "*a"]


@pytest.mark.parametrize("wanted", ODD, ids=range(len(ODD)))
def test_any_words_can_be_looked_for(store, wanted):
    store.add(store.create("m"), None, StoredMessage(0, None, "user", 'x "AND" a:b é 漢字 ' + "a" * 100_000))
    assert len(store.search(wanted)) <= 1


@pytest.mark.parametrize("wanted", ["", " ", "*", "\x00", "* **"])
def test_no_words_cannot_be_looked_for(store, wanted):
    with pytest.raises(UsageError, match="nothing to look for"):
        store.search(wanted)


def test_too_many_words_are_refused_and_many_are_not(store):
    store.add(store.create("m"), None, StoredMessage(0, None, "user", "word " * 10))
    assert len(store.search("word " * MOST_WORDS)) == 1
    with pytest.raises(UsageError, match="too many"):
        store.search("word " * (MOST_WORDS + 1))


def test_halves_of_characters_become_question_marks(store):
    chat = store.create("m\ud800", "n\udc00", {"system": "\ud800"})
    store.add(chat, None, StoredMessage(0, None, "user", "x\ud83dy"))
    assert [one.content for one in store.path_of(chat)] == ["x?y"]
    assert store.find("n\udc00") == chat


def test_copies_of_before_an_update_have_the_deleted_words_and_are_told(path, store, monkeypatch):
    store.create("m")
    store.close()
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, "ALTER TABLE chats ADD COLUMN colour TEXT;"))
    open_database(path).close()
    (path.parent / "chats.db.schema-2.4711").touch()  # of a program that was killed
    assert [one.name for one in copies_of(path)] == ["chats.db.schema-2", "chats.db.schema-2.4711"]


def test_a_log_that_another_program_reads_is_told(path, store):
    chat = store.create("m")
    store.add(chat, None, StoredMessage(0, None, "user", "secretword"))
    with ChatStore(path) as other:
        store._connection.execute("PRAGMA busy_timeout = 50")
        other._connection.execute("BEGIN")
        other._connection.execute("SELECT count(*) FROM messages").fetchone()
        assert not store.delete(chat)
        other._connection.execute("COMMIT")
        assert store.tidy()
    assert b"secretword" not in b"".join(one.read_bytes() for one in path.parent.iterdir())


TEXTS = st.text(st.characters(exclude_categories=()), max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | TEXTS.map(storable),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS.map(storable), inner, max_size=3),
    max_leaves=5,
)
MESSAGES = st.tuples(
    st.integers(0, 10**6),
    st.sampled_from(["user", "assistant", "system", "tool"]),
    TEXTS,
    st.sampled_from(["done", "partial", "interrupted"]),
    st.floats(1, 4e9),
    st.dictionaries(st.sampled_from(["reason", "prompt_s", "tool_calls", "name", "x"]), VALUES, max_size=3),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(MESSAGES, max_size=8),
    st.integers(-1, 7),
    st.dictionaries(st.sampled_from(["temp", "template", "system"]), TEXTS.map(storable), max_size=3),
)
def test_exported_and_imported_is_identical(tmp_path_factory, said, head, chosen):
    folder = tmp_path_factory.mktemp("exchange")
    with ChatStore(None) as one, ChatStore(None) as other:
        for _ in range(3):
            one.create("m")
        chat, ids = one.create("model", "name", chosen), [None]
        for parent, role, content, state, created, extra in said:
            message = StoredMessage(0, None, role, content, state, created, extra)
            ids.append(one.add(chat, ids[parent % len(ids)], message))
        one.set_head(chat, ids[head + 1] if head + 1 < len(ids) else None)
        write_export(folder / "chat.json", exported(one, chat), "json")
        (read,) = read_chats(folder / "chat.json")
        made = other.keep(read)
        assert numbered(exported(other, made)) == numbered(exported(one, chat))
        for form in ("md", "html", "jsonl"):
            assert WRITERS[form](exported(other, made)) == WRITERS[form](exported(one, chat))


def numbered(chat):
    """A chat with messages counted from 0."""
    place = {one.id: n for n, one in enumerate(chat.tree)}
    place[None] = None
    tree = [(place[m.parent], m.role, m.content, m.state, m.created, m.extra) for m in chat.tree]
    told = chat.name, chat.title, chat.model, chat.settings, chat.created, chat.updated
    return told, place[chat.head], tree


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"messages": []}\n' + "[" * 100_000,
    ],
)
def test_what_is_nested_too_deeply_is_refused(tmp_path, text):
    (tmp_path / "file").write_text(text)
    with pytest.raises(UsageError):
        list(read_chats(tmp_path / "file"))


def test_odd_values_of_an_import_do_no_harm(store):
    settings = '{"forgotten": "abc", "system": 3, "temp": 0.5}'
    message = f'"content": "\\ud800", "created": {"9" * 400}, "state": 4, "extra": 5'
    text = (
        '{"format": "llamachat chat 1", "head": [1], "name": "12", "model": 7, "created": 1e999, "messages": '
        f'[{{"id": 9, "parent": null, "role": "user", {message}}}], "settings": {settings}}}'
    )
    (chat,) = read_chats_of(text)
    made = store.keep(chat)
    assert store.settings(made) == {"temp": 0.5}
    assert store.summary(made).name is None
    assert [(one.content, one.state) for one in store.path_of(made)] == [("?", "done")]
