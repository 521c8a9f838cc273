"""Chats in their database: trees of messages, what is found, what is gone, and files of other versions."""

import sqlite3
import stat
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from llamachat.errors import UsageError
from llamachat.session import database
from llamachat.session.chats import INTERRUPTED, PARTIAL, ChatStore, StoredMessage, WholeChat, title_of
from llamachat.session.database import StoreUnavailable


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "chats.db"


@pytest.fixture
def store(path):
    with ChatStore(path) as opened:
        yield opened


def said(store, chat, *texts, parent=None):
    """Adds a talk in turns; the ids."""
    ids = []
    for number, text in enumerate(texts):
        parent = store.add(chat, parent, StoredMessage(0, None, ("user", "assistant")[number % 2], text))
        ids.append(parent)
    return ids


def talk(store, chat):
    return [(one.role, one.content) for one in store.path_of(chat)]


def test_a_talk_is_the_path_to_the_head(store):
    chat = store.create("smollm2")
    ids = said(store, chat, "Hi", "Hello", "Bye", "See you")
    other = store.add(chat, ids[2], StoredMessage(0, None, "assistant", "Farewell"))
    assert talk(store, chat)[-1] == ("assistant", "Farewell")
    store.set_head(chat, ids[3])
    assert talk(store, chat)[-1] == ("assistant", "See you")
    store.set_head(chat, ids[1])
    assert talk(store, chat) == [("user", "Hi"), ("assistant", "Hello")]
    assert {one.id for one in store.tree_of(chat)} == {*ids, other}
    store.set_head(chat, None)
    assert talk(store, chat) == []


def test_a_partial_answer_is_there_and_is_finished_later(path, store):
    chat = store.create("m")
    question, *_ = said(store, chat, "Why?")
    answer = store.add(chat, question, StoredMessage(0, None, "assistant", "Bec", PARTIAL))
    with ChatStore(path) as other:
        assert other.path_of(chat)[-1].state == PARTIAL
    store.update(answer, "Because", INTERRUPTED, {"n_generated": 2})
    last = store.path_of(chat)[-1]
    assert (last.content, last.state, last.extra) == ("Because", INTERRUPTED, {"n_generated": 2})
    assert [hit.excerpt for hit in store.search("because")] == ["Because"]
    assert store.search("bec") == []


def test_the_title_is_the_first_message_of_the_person(store):
    chat = store.create("m")
    store.add(chat, None, StoredMessage(0, None, "system", "Be brief"))
    said(store, chat, "\n  What is a monad?  \nPlease", "It is")
    assert store.summary(chat).title == "What is a monad?"
    assert store.summary(chat).n_messages == 3


@pytest.mark.parametrize(
    ("content", "title"), [("", ""), ("word " * 30, ("word " * 11).strip() + "..."), ("a" * 70, "a" * 57 + "...")]
)
def test_long_titles_end_at_a_word(content, title):
    assert title_of(content) == title


def test_chats_are_found_by_name_number_and_beginning_of_title(store):
    first, second = store.create("m", "work"), store.create("m")
    said(store, first, "Tax return 2026")
    said(store, second, "Tax office")
    assert store.find("work") == first
    assert store.find(str(second)) == second
    assert store.find("Tax off") == second
    with pytest.raises(UsageError, match="could be 2 chats"):
        store.find("Tax")
    with pytest.raises(UsageError, match="no chat '%'"):
        store.find("%")


def test_names_are_taken_once_and_are_no_numbers(store):
    chat, other = store.create("m", "a"), store.create("m")
    for name in ("", " ", "12"):
        with pytest.raises(UsageError, match="cannot be named"):
            store.rename(other, name)
    with pytest.raises(UsageError, match="already"):
        store.rename(other, "a")
    with pytest.raises(UsageError, match="already"):
        store.create("m", "a")
    store.rename(chat, "b")
    assert store.find("b") == chat


def test_the_last_that_changed_comes_first(store):
    first, second = store.create("m"), store.create("m")
    said(store, first, "later")
    assert [one.id for one in store.latest()] == [first, second]
    assert [one.id for one in store.latest(1)] == [first]


@pytest.mark.parametrize("wanted", ['"', "AND", "a OR", "NEAR(", "*", "-", "col:x", "(", "'; DROP TABLE chats"])
def test_any_text_can_be_looked_for(store, wanted):
    said(store, store.create("m"), 'She said "AND" col:x')
    if wanted == "*":
        with pytest.raises(UsageError, match="nothing to look for"):
            store.search(wanted)
    else:
        assert len(store.search(wanted)) <= 1


def test_words_are_found_whole_or_by_their_beginning_the_newest_first(store):
    chat = store.create("m")
    said(store, chat, "apple tree", "apples and pears", "an apple a day")
    assert [hit.excerpt for hit in store.search("apple")] == ["an apple a day", "apple tree"]
    assert len(store.search("appl*")) == 3
    assert len(store.search("pears apples")) == 1


def test_a_fork_has_the_talk_and_goes_its_own_way(store):
    chat = store.create("m", "one", {"temp": 0.5})
    said(store, chat, "Hi", "Hello")
    other = store.fork(chat, "two")
    said(store, other, "More", parent=store.path_of(other)[-1].id)
    assert talk(store, chat) == [("user", "Hi"), ("assistant", "Hello")]
    assert talk(store, other)[:2] == talk(store, chat)
    assert store.settings(other) == {"temp": 0.5}


def test_deleted_words_are_not_in_the_files_any_more(path, store):
    chat = store.create("m")
    said(store, chat, "xylophonesecret", "answersecret")
    kept = store.create("m")
    said(store, kept, "stays")
    store.delete(chat)
    raw = b"".join(one.read_bytes() for one in path.parent.iterdir())
    assert b"xylophonesecret" not in raw
    assert b"answersecret" not in raw
    assert talk(store, kept) == [("user", "stays")]
    assert store.search("xylophonesecret") == []


def test_tidying_keeps_everything(store):
    chat = store.create("m")
    said(store, chat, "one two", "three")
    store.tidy()
    assert len(store.search("three")) == 1
    assert talk(store, chat) == [("user", "one two"), ("assistant", "three")]


def test_only_the_owner_may_read(path, store):
    store.create("m")
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()} == {0o600}


def test_a_newer_file_is_refused_and_stays_as_it_is(path, store):
    store.create("m")
    store.close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreUnavailable, match="newer version"):
        ChatStore(path)


def test_an_older_file_is_copied_and_migrated(path, store, monkeypatch):
    chat = store.create("m")
    said(store, chat, "Hi")
    store.close()
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, "ALTER TABLE chats ADD COLUMN colour TEXT;"))
    with ChatStore(path) as migrated:
        assert talk(migrated, chat) == [("user", "Hi")]
        assert migrated._connection.execute("SELECT colour FROM chats").fetchone()[0] is None
    copy = path.with_name(f"{path.name}.schema-2")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with sqlite3.connect(copy) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 2


def test_a_migration_that_fails_leaves_the_file_as_it_was(path, store, monkeypatch):
    store.create("m", "kept")
    store.close()
    monkeypatch.setattr(
        database, "MIGRATIONS", (*database.MIGRATIONS, "ALTER TABLE chats ADD COLUMN x TEXT;\nNONSENSE;")
    )
    with pytest.raises(StoreUnavailable):
        ChatStore(path)
    monkeypatch.undo()
    with ChatStore(path) as again:
        assert again.find("kept")


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to be read as one" * 40, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_file_that_is_no_database_is_said_and_kept(path, content):
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(StoreUnavailable, match=r"chats\.db"):
        ChatStore(path)
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot be kept"):
        ChatStore(tmp_path / "file" / "chats.db")


WRITER = """
import sys, time
from pathlib import Path
from llamachat.session.chats import *
with ChatStore(Path(sys.argv[1])) as store:
    chat = store.create("m", "killed")
    parent = None
    for turn in range(10**6):
        parent = store.add(chat, parent, StoredMessage(0, None, "user", f"question {turn}"))
        answer = store.add(chat, parent, StoredMessage(0, None, "assistant", "", PARTIAL))
        for n in range(3):
            store.update(answer, f"answer {turn} " * (n + 1), PARTIAL)
        store.update(answer, f"answer {turn}")
        print(turn, flush=True)
        parent = answer
"""


@pytest.mark.parametrize("moment", range(5))
def test_a_killed_program_loses_no_finished_turn(path, moment):
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.006 * moment)
    process.kill()
    rest = process.stdout.read().split()
    finished = int(rest[-1]) if rest else 0
    with ChatStore(path) as store:
        assert store._connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        messages = store.path_of(store.find("killed"))
        assert [one.content for one in messages[1::2]][: finished + 1] == [f"answer {n}" for n in range(finished + 1)]
        assert all(one.state == "done" for one in messages[: 2 * finished + 2])


def test_two_programs_write_at_once(path):
    scripts = [WRITER.replace('"killed"', f'"chat{n}"').replace("10**6", "20") for n in range(2)]
    both = [
        subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.DEVNULL) for script in scripts
    ]
    assert [one.wait(60) for one in both] == [0, 0]
    with ChatStore(path) as store:
        assert [len(store.path_of(store.find(f"chat{n}"))) for n in range(2)] == [40, 40]


def test_digits_are_a_number_and_blanks_are_nothing(store):
    chat = store.create("m")
    said(store, chat, "9 ways to cook")
    with pytest.raises(UsageError, match="there is no chat '9'"):
        store.find("9")
    assert store.find("9 w") == chat
    for blank in ("", "  "):
        with pytest.raises(UsageError, match="give the name of a chat"):
            store.find(blank)


def test_several_chats_are_kept_all_or_none(store):
    whole = WholeChat((StoredMessage(1, None, "user", "one"),), 1, "a\ud800")
    broken = WholeChat((StoredMessage(1, 77, "user", "two"),), 1)
    with pytest.raises(KeyError):
        store.keep_all([whole, broken])
    assert store.latest() == []
    made = store.keep_all([whole, replace(whole, name="a\ud801"), replace(whole, name=None)])
    assert [store.summary(one).name for one in made] == ["a?", None, None]
    assert [talk(store, one) for one in made] == 3 * [[("user", "one")]]
