"""From chat to chat: locks, empty chats, and what was computed."""

from types import SimpleNamespace
from typing import Any

import pytest
from scripted import ScriptedModel

from llamachat.dialogue import keeper as module
from llamachat.dialogue.conversation import Conversation
from llamachat.dialogue.keeper import Keeper
from llamachat.dialogue.responder import Responder
from llamachat.engine.generate import GenerationOptions
from llamachat.session.chats import ChatStore, StoredMessage
from llamachat.session.locks import ChatLock
from llamachat.session.places import database_path, locks_folder
from llamachat.templates.renderer import ChatTemplate
from llamachat.terminal.chatting import Chat
from llamachat.terminal.commands import run_command
from llamachat.terminal.console import Console
from llamachat.terminal.output import note


@pytest.fixture
def store(own_home):
    with ChatStore(database_path()) as made:
        yield made


@pytest.fixture
def slept(monkeypatch):
    """What was kept and taken over, by the numbers of the chats."""
    seen: list[tuple[str, int]] = []
    monkeypatch.setattr(
        module, "save_snapshot", lambda _responder, _snapshots, chat, _tell: seen.append(("sleep", chat))
    )
    monkeypatch.setattr(
        module, "restore_snapshot", lambda _responder, _snapshots, chat, _tell: seen.append(("restore_snapshot", chat))
    )
    return seen


def chat_with(store: ChatStore, text: str | None = None) -> int:
    number = store.create("m")
    if text is not None:
        store.add(number, None, StoredMessage(0, None, "user", text))
    return number


def opened(store: ChatStore, number: int) -> Chat:
    model: Any = ScriptedModel([])
    responder = Responder(model, model.context(100), GenerationOptions(), Console())
    keeper = Keeper(store, 1 << 20, tell=note)
    talk = Conversation(model.tokenizer, ChatTemplate(None), store, keeper.take(number))
    return Chat(responder, talk, keeper=keeper)


def is_free(number: int) -> bool:
    lock = ChatLock(locks_folder(), number)
    taken = lock.take()
    lock.release()
    return taken


def test_the_chat_that_is_gone_to_is_locked_and_the_one_before_is_free(store, slept):
    first, second = chat_with(store, "one"), chat_with(store, "two")
    chat = opened(store, first)
    assert not is_free(first)
    run_command(f"/load {second}", chat)
    assert (is_free(first), is_free(second)) == (True, False)
    assert slept == [("restore_snapshot", second)]  # nothing was asked in the first one


def test_a_new_chat_leads_back_to_no_copy_that_is_gone(store, slept, capsys):
    first = chat_with(store, "one")
    with ChatLock(locks_folder(), first) as lock:
        assert lock.take()
        chat = opened(store, first)
        copy = chat.conversation.chat
        run_command("/new", chat)
    said = capsys.readouterr().out
    assert copy not in [one.id for one in store.latest()]
    assert "is gone" in said
    assert "/load" not in said


def test_what_was_computed_is_kept_where_something_was_asked(store, slept):
    first, second = chat_with(store, "one"), chat_with(store, "two")
    chat = opened(store, first)
    asked: Any = object()
    chat.last = asked
    run_command(f"/load {second}", chat)
    assert slept == [("sleep", first), ("restore_snapshot", second)]
    assert chat.last is None


def test_a_chat_that_another_program_is_in_goes_on_in_a_copy(store, slept, capsys):
    first, second = chat_with(store, "one"), chat_with(store, "two")
    with ChatLock(locks_folder(), second) as other:
        assert other.take()
        chat = opened(store, first)
        run_command(f"/load {second}", chat)
    assert "continues in a copy" in capsys.readouterr().err
    assert chat.conversation.chat not in (first, second)
    assert chat.conversation.messages() == [{"role": "user", "content": "two"}]


def test_an_empty_chat_that_is_left_is_not_kept(store, slept):
    second = chat_with(store, "two")
    chat = opened(store, chat_with(store))
    run_command(f"/load {second}", chat)
    assert [one.id for one in store.latest()] == [second]


def test_going_on_in_the_same_chat_changes_nothing(store, slept):
    only = chat_with(store)
    chat = opened(store, only)
    run_command(f"/load {only}", chat)
    assert not is_free(only)
    assert [one.id for one in store.latest()] == [only]
    assert slept == []


def test_a_fork_is_locked_and_the_chat_before_is_free(store, slept):
    first = chat_with(store, "one")
    chat = opened(store, first)
    run_command("/fork", chat)
    assert is_free(first)
    assert not is_free(chat.conversation.chat)


def test_without_a_home_nothing_is_locked(monkeypatch):
    monkeypatch.setattr(module, "locks_folder", lambda: pytest.fail("there is none"))
    monkeypatch.setattr(module, "snapshots_folder", lambda: pytest.fail("there is none"))
    store = ChatStore(None)
    keeper = Keeper(store, 1 << 20, tell=note)
    assert keeper.take(7) == 7
    keeper.leave(SimpleNamespace(), 7, asked=True)  # type: ignore[arg-type]
