"""An answer that is being written is kept once a second, whether words come or not."""

import pytest
from scripted import ScriptedModel

from llamachat.engine.events import Event
from llamachat.session.chats import ChatStore, StoredMessage
from llamachat.terminal import chatting
from llamachat.terminal.chatting import KeepingView
from llamachat.terminal.output import Output
from llamachat.terminal.thinking import thinking_of
from llamachat.terminal.view import PlainView


@pytest.fixture
def clock(monkeypatch):
    """Seconds, as a list of one."""
    now = [100.0]
    monkeypatch.setattr(chatting.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def kept(clock):
    """A view, and what is kept of the answer."""
    store = ChatStore(None)
    chat = store.create("m")
    message = store.add(chat, None, StoredMessage(0, None, "assistant", "", "partial"))
    thinking = thinking_of("", ScriptedModel([]).tokenizer, [])
    view = KeepingView(PlainView(Output()), store, message, thinking)
    return view, lambda: store.path_of(chat)[0].content


def test_words_are_kept_within_a_second(kept, clock):
    view, content = kept
    view.event(Event("one "))
    assert content() == ""
    clock[0] += 1
    view.event(Event("two "))
    assert content() == "one two "


def test_words_are_kept_while_the_model_thinks_about_the_next_one(kept, clock):
    view, content = kept
    view.event(Event("one "))
    clock[0] += 0.5
    view.idle()
    assert content() == ""
    clock[0] += 0.5
    view.idle()
    assert content() == "one "


def test_nothing_is_written_where_nothing_is_new(kept, clock, monkeypatch):
    view, content = kept
    view.event(Event("one"))
    clock[0] += 1
    view.idle()
    monkeypatch.setattr(view._store, "update", lambda *_: pytest.fail("nothing is new"))
    clock[0] += 5
    view.idle()
    assert content() == "one"
