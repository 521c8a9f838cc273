"""Chats that go on where they cannot be kept."""

import sqlite3

import pytest

from llamachat.errors import UsageError
from llamachat.session.chats import PARTIAL, ChatStore, StoredMessage
from llamachat.session.database import StoreUnavailable
from llamachat.session.exports import exported, write_export
from llamachat.session.fallback import FallbackStore


@pytest.fixture
def said():
    return []


def question(text):
    return StoredMessage(0, None, "user", text)


def contents(store, chat):
    return [one.content for one in store.path_of(chat)]


def test_a_disk_that_fills_in_the_middle_of_a_turn_costs_nothing_but_the_keeping(small_disk, said):
    path = small_disk.path / "data" / "chats.db"
    with FallbackStore(path, said.append) as store:
        chat = store.create("m", "mine", {"system": "Be brief"})
        first = store.add(chat, None, question("one"))
        answer = store.add(chat, first, StoredMessage(0, None, "assistant", "", PARTIAL))
        small_disk.fill()
        for n in range(3):
            store.update(answer, "long " * 50_000 * (n + 1), PARTIAL)
        store.update(answer, "done")
        second = store.add(chat, answer, question("two"))
        store.set_settings(chat, {"system": "Be long"})
        store.add(chat, second, StoredMessage(0, None, "assistant", "too"))
        assert contents(store, chat) == ["one", "done", "two", "too"]
        assert store.settings(chat) == {"system": "Be long"}
        assert store.summary(chat).name == "mine"
        assert not store.is_saved(chat)
        assert [one.content for one in exported(store, chat).path] == ["one", "done", "two", "too"]
        assert len(said) == 1
        assert "nothing of it is kept" in said[0]
    small_disk.free()
    with ChatStore(path) as store:
        assert store._connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert contents(store, store.find("mine"))[0] == "one"
    assert len(said) == 1


def test_what_a_disk_takes_in_the_end_is_kept_after_all(small_disk, said):
    path = small_disk.path / "data" / "chats.db"
    with FallbackStore(path, said.append) as store:
        chat = store.create("m", "mine")
        first = store.add(chat, None, question("one"))
        small_disk.fill()
        store.update(first, "one, changed")
        for n in range(3):
            first = store.add(chat, first, question(f"{n}"))
        branch = store.add(chat, store.path_of(chat)[1].id, question("branch"))
        new = store.create("m", "new", {"system": "Be brief"})
        store.add(new, None, question("in a new chat"))
        assert len(said) == 1
        small_disk.free()
    assert [text.endswith("kept after all") for text in said] == [False, True, True]
    assert branch > 2**40
    with ChatStore(path) as store:
        assert contents(store, store.find("mine")) == ["one, changed", "0", "branch"]
        assert [one.content for one in store.tree_of(chat)] == ["one, changed", "0", "1", "2", "branch"]
        assert contents(store, store.find("new")) == ["in a new chat"]
        assert store.settings(store.find("new")) == {"system": "Be brief"}
        assert max(one.id for one in store.latest()) < 2**40
        assert store._connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_a_new_chat_on_a_full_disk_goes_on_in_memory(small_disk, said):
    path = small_disk.path / "data" / "chats.db"
    ChatStore(path).close()
    small_disk.fill()
    with FallbackStore(path, said.append) as store:
        chat = store.create("m")
        for n in range(50):
            store.add(chat, None, question(f"{n} " * 1000))
        assert len(store.tree_of(chat)) == 50
    assert len(said) == 1


def test_chats_of_a_disk_that_cannot_be_written_can_be_read_and_gone_on_with(small_disk, said):
    path = small_disk.path / "data" / "chats.db"
    with ChatStore(path) as store:
        chat = store.create("m", "mine")
        store.add(chat, None, question("one"))
    small_disk.remount("ro")
    with FallbackStore(path, said.append) as store:
        assert [one.name for one in store.latest()] == ["mine"]
        assert len(store.search("one")) == 1
        store.add(store.find("mine"), store.path_of(chat)[-1].id, question("two"))
        assert contents(store, chat) == ["one", "two"]
    assert len(said) == 1
    with ChatStore(path) as store, pytest.raises(StoreUnavailable, match="readonly"):
        store.rename(chat, "yours")
    small_disk.remount("rw")
    with ChatStore(path) as store:
        assert contents(store, chat) == ["one"]


def test_a_file_where_the_folder_should_be_is_said(tmp_path, said):
    (tmp_path / "data").touch()
    with pytest.raises(StoreUnavailable, match="cannot be kept"):
        FallbackStore(tmp_path / "data" / "chats.db", said.append)


def test_a_detached_chat_is_a_matter_of_its_own(tmp_path, said):
    path = tmp_path / "chats.db"
    with ChatStore(path) as other, FallbackStore(path, said.append) as store:
        chat, kept = other.create("m", "shared"), other.create("m", "kept")
        one = other.add(chat, None, question("one"))
        store.detach(chat)
        mine = store.add(chat, one, question("mine"))
        theirs = other.add(chat, one, question("theirs"))
        in_file = store.add(kept, None, question("in the file"))
        store.update(mine, "mine too")
        store.update(in_file, "in the file too")
        assert len({mine, theirs, in_file}) == 3
        assert contents(store, chat) == ["one", "mine too"]
        assert contents(other, chat) == ["one", "theirs"]
        assert contents(other, kept) == ["in the file too"]
        made = store.fork(chat, "saved after all")
        assert contents(other, made) == ["one", "mine too"]
        store.remove(mine)
        assert contents(other, chat) == ["one", "theirs"]
        store.detach(chat)
        assert [one.content for one in store.tree_of(chat)] == ["one"]
    assert said == []


def test_what_is_wrong_with_a_request_is_no_matter_of_the_disk(tmp_path, said):
    with FallbackStore(tmp_path / "chats.db", said.append) as store:
        store.create("m", "taken")
        with pytest.raises(UsageError, match="already"):
            store.create("m", "taken")
        with pytest.raises(StoreUnavailable):
            store.add(77, None, question("to nobody"))
    assert said == []


def test_a_database_that_is_busy_for_too_long_is_left_alone(tmp_path, said, monkeypatch):
    monkeypatch.setattr("llamachat.session.database.PATIENCE_S", 0.1)
    path = tmp_path / "chats.db"
    with FallbackStore(path, said.append) as store:
        chat = store.create("m")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        store.add(chat, None, question("one"))
        assert contents(store, chat) == ["one"]
        other.execute("ROLLBACK")
        other.close()
    assert "locked" in said[0]


def test_a_chat_can_be_deleted_on_a_full_disk_and_makes_room(small_disk):
    path = small_disk.path / "data" / "chats.db"
    with ChatStore(path) as store:
        for name in ("large", "stays"):
            chat = store.create("m", name)
            for n in range(3 if name == "large" else 1):
                store.add(chat, None, question(f"{name} 部署 {n} " * 3000))
    before = path.stat().st_size
    small_disk.fill()
    with ChatStore(path) as store:
        with pytest.raises(StoreUnavailable, match=r"no space left on the disk: .* needed, 0 bytes are free"):
            store.create("m")
        assert store.delete(1)
    assert path.stat().st_size < before / 2
    assert b"large" not in path.read_bytes()
    with ChatStore(path) as store:
        assert store._connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert [one.name for one in store.latest()] == ["stays"]
        assert [hit.chat.id for hit in store.search("部署")] == [2]
        store.add(2, None, question("there is room again"))


def test_gc_makes_room_on_a_full_disk(small_disk):
    path = small_disk.path / "data" / "chats.db"
    with ChatStore(path) as store:
        chat = store.create("m", "large")
        for n in range(20):
            store.add(chat, None, question(f"{n} " * 500))
        store.forget(chat)
    before = path.stat().st_size
    small_disk.fill()
    with ChatStore(path) as store:
        assert store.tidy()
    assert path.stat().st_size < before * 0.8


def test_an_export_to_a_full_disk_says_what_it_needs_and_what_is_kept(small_disk):
    (small_disk.path / "chat.md").write_text("the file before")
    small_disk.fill()
    with ChatStore(None) as store:
        chat = store.create("m")
        store.add(chat, None, question("x" * 300_000))
        with pytest.raises(UsageError, match=r"no space left on the disk: 300\.\d kB are needed.*file before is as it"):
            write_export(small_disk.path / "chat.md", exported(store, chat), "md")
    assert (small_disk.path / "chat.md").read_text() == "the file before"


@pytest.mark.parametrize("damage", ["parent = 999", "parent = id", "extra = '{'"])
def test_a_damaged_chat_goes_on_in_memory_too(tmp_path, said, damage):
    path = tmp_path / "chats.db"
    with ChatStore(path) as store:
        chat = store.create("m", "mine")
        first = store.add(chat, None, question("one"))
        store.add(chat, first, question("two"))
        store._connection.execute("PRAGMA foreign_keys = OFF")
        store._connection.execute(f"UPDATE messages SET {damage} WHERE id = {first}")
    with FallbackStore(path, said.append) as store:
        refused = sqlite3.connect(path, isolation_level=None)
        refused.execute("BEGIN IMMEDIATE")
        store._connection.execute("PRAGMA busy_timeout = 50")
        store.add(chat, store.path_of(chat)[-1].id, question("three"))
        assert contents(store, chat) == ["one", "two", "three"]
        refused.execute("ROLLBACK")
        refused.close()
    assert said[-1].endswith("kept after all")
    with ChatStore(path) as store:
        assert contents(store, chat) == ["one", "two", "three"]
