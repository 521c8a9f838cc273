"""Chats whose disk is full, whose folder is read-only, or that are open elsewhere: they go on, and it is said once."""

import re
import signal

import pexpect
import pytest

from llamachat.session.chats import ChatStore, StoredMessage
from llamachat.session.locks import ChatLock


def at_prompt(child: pexpect.spawn) -> str:
    """Waits until the person may type; what was shown before."""
    child.expect(r"\x1b\[\?2004h.*?\x1b\[\?25h")
    return str(child.before)


def leave(child: pexpect.spawn) -> str:
    """Ends a chat at its prompt; what was shown."""
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    return str(child.before)


def ask(child: pexpect.spawn, text: str, answer: str) -> str:
    """One turn; what was shown of it."""
    child.send(f"{text}\r")
    child.expect_exact(answer)
    return str(child.before) + at_prompt(child)


def plain(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def talk(folder, name):
    with ChatStore(folder / "chats" / "chats.db") as store:
        return [one.content for one in store.path_of(store.find(name))]


@pytest.fixture
def shared(environment, tmp_path):
    """A chat with one message, in a folder of its own, and the folder."""
    folder = tmp_path / "data"
    environment["LLAMACHAT_DATA"] = str(folder)
    with ChatStore(folder / "chats" / "chats.db") as store:
        chat = store.create("m", "shared")
        store.add(chat, None, StoredMessage(0, None, "user", "said before"))
    return chat, folder


def test_a_chat_on_a_full_disk_goes_on_and_says_once_that_it_is_not_kept(terminal, environment, small_disk):
    environment["LLAMACHAT_DATA"] = str(small_disk.path)
    child = terminal("chat", "--session", "full", answers=("One.", "Two. " * 200 + "End.", "Three."))
    at_prompt(child)
    ask(child, "first", "One.")
    small_disk.fill()
    shown = ask(child, "second", "End.") + ask(child, "third", "Three.") + leave(child)
    assert plain(shown).count("nothing of it is kept from here on") == 1
    small_disk.free()
    assert talk(small_disk.path, "full")[:2] == ["first", "One."]


def test_a_chat_in_a_read_only_folder_goes_on_from_what_is_there(terminal, environment, small_disk):
    environment["LLAMACHAT_DATA"] = str(small_disk.path)
    with ChatStore(small_disk.path / "chats" / "chats.db") as store:
        store.add(store.create("m", "old"), None, StoredMessage(0, None, "user", "said before"))
    small_disk.remount("ro")
    child = terminal("chat", "--session", "old", answers=("One.", "Two."))
    shown = at_prompt(child)
    assert "said before" in shown
    shown += ask(child, "more", "One.") + ask(child, "even more", "Two.") + leave(child)
    assert plain(shown).count("nothing of it is kept from here on") == 1


def test_a_file_in_place_of_the_folder_is_said_once(terminal, environment, tmp_path):
    (tmp_path / "file").touch()
    environment["LLAMACHAT_DATA"] = str(tmp_path / "file")
    child = terminal("chat", answers=("One.", "Two."))
    shown = at_prompt(child) + ask(child, "first", "One.") + ask(child, "second", "Two.") + leave(child)
    assert plain(shown).count("this chat is not kept") == 1


@pytest.mark.parametrize("answer", ["r", "read", "x\rr"])
def test_a_chat_that_is_open_elsewhere_may_be_read_and_gone_on_with(terminal, shared, answer):
    chat, folder = shared
    with ChatLock(folder / "chats" / "locks", chat) as lock:
        assert lock.take()
        child = terminal("chat", "--session", "shared", answers=("One.",))
        child.expect_exact("is in this chat")
        child.expect_exact("[q]uit?")
        child.send(f"{answer}\r")
        shown = at_prompt(child)
        assert "said before" in shown
        shown += ask(child, "mine", "One.") + leave(child)
        assert plain(shown).count("nothing of what follows is kept") == 1
    assert talk(folder, "shared") == ["said before"]


def test_a_chat_that_is_open_elsewhere_may_be_forked(terminal, shared):
    chat, folder = shared
    with ChatLock(folder / "chats" / "locks", chat) as lock:
        assert lock.take()
        child = terminal("chat", "--session", "shared", answers=("One.",))
        child.expect_exact("[q]uit?")
        child.send("f\r")
        at_prompt(child)
        ask(child, "mine", "One.")
        leave(child)
    assert talk(folder, "shared") == ["said before"]
    with ChatStore(folder / "chats" / "chats.db") as store:
        assert [one.content for one in store.path_of(store.latest(1)[0].id)] == ["said before", "mine", "One."]


def test_a_copy_in_which_nothing_was_asked_is_not_kept(terminal, shared):
    chat, folder = shared
    with ChatLock(folder / "chats" / "locks", chat) as lock:
        assert lock.take()
        child = terminal("chat", "--session", "shared", "--if-open", "fork")
        at_prompt(child)
        leave(child)
    with ChatStore(folder / "chats" / "chats.db") as store:
        assert [one.id for one in store.latest()] == [chat]


@pytest.mark.parametrize("how", ["question", "end of input", "option"])
def test_a_chat_that_is_open_elsewhere_may_be_left_alone(terminal, shared, how):
    chat, folder = shared
    with ChatLock(folder / "chats" / "locks", chat) as lock:
        assert lock.take()
        child = terminal("chat", "--session", "shared", *(["--if-open", "quit"] if how == "option" else []))
        if how != "option":
            child.expect_exact("[q]uit?")
            child.send("q\r" if how == "question" else "\x04")
        child.expect_exact("is in this chat")
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 1
    with ChatStore(folder / "chats" / "chats.db") as store:
        assert len(store.latest()) == 1


def test_load_asks_too_and_the_chat_before_stays_where_it_was(terminal, shared):
    chat, folder = shared
    with ChatLock(folder / "chats" / "locks", chat) as lock:
        assert lock.take()
        child = terminal("chat", answers=("One.", "Two.", "Three."))
        at_prompt(child)
        ask(child, "here", "One.")
        child.send("/load shared\r")
        child.expect_exact("[c]ancel?")
        child.send("c\r")
        child.expect_exact("this chat stays open")
        at_prompt(child)
        ask(child, "still here", "Two.")
        child.send("/load shared\r")
        child.expect_exact("[c]ancel?")
        child.send("r\r")
        at_prompt(child)
        ask(child, "there", "Three.")
        child.send("/load here\r")
        child.expect_exact("Two.")
        at_prompt(child)
        leave(child)
    assert talk(folder, "shared") == ["said before"]
    assert talk(folder, "here") == ["here", "One.", "still here", "Two."]


def test_in_a_pipe_a_chat_that_is_open_elsewhere_goes_on_in_a_copy(llamachat, shared):
    chat, folder = shared
    with ChatLock(folder / "chats" / "locks", chat) as lock:
        assert lock.take()
        done = llamachat("chat", "--session", "shared", stdin=b"mine")
        assert (done.returncode, done.stdout) == (0, b"An answer.\n")
        assert b"continues in a copy" in done.stderr
        unsaved = llamachat("chat", "--session", "shared", "--if-open", "read-only", stdin=b"mine")
        assert (unsaved.returncode, unsaved.stdout) == (0, b"An answer.\n")
        refused = llamachat("chat", "--session", "shared", "--if-open", "quit", stdin=b"mine")
        assert (refused.returncode, refused.stdout) == (1, b"")
    assert talk(folder, "shared") == ["said before"]
    with ChatStore(folder / "chats" / "chats.db") as store:
        assert len(store.latest()) == 2


def test_a_chat_that_is_open_is_not_deleted(llamachat, shared):
    chat, folder = shared
    with ChatLock(folder / "chats" / "locks", chat) as lock:
        assert lock.take()
        refused = llamachat("sessions", "delete", "shared", "--yes")
        assert (refused.returncode, b"is in this chat" in refused.stderr) == (2, True)
    assert llamachat("sessions", "delete", "shared", "--yes").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_terminal_that_is_closed_leaves_what_was_computed(terminal, environment, tmp_path, number):
    environment["LLAMACHAT_DATA"] = str(tmp_path)
    child = terminal("chat", "--session", "long", answers=("word " * 80 + "End.",))
    at_prompt(child)
    ask(child, "go on", "End.")
    child.kill(number)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 128 + number
    assert len(talk(tmp_path, "long")) == 2
    assert len(list((tmp_path / "chats" / "snapshots").glob("*.safetensors"))) == 1


def test_a_terminal_that_is_closed_before_anything_was_said_leaves_nothing(terminal, environment, tmp_path):
    environment["LLAMACHAT_DATA"] = str(tmp_path)
    child = terminal("chat")
    at_prompt(child)
    child.kill(signal.SIGHUP)
    child.expect(pexpect.EOF)
    child.close()
    with ChatStore(tmp_path / "chats" / "chats.db") as store:
        assert store.latest() == []
