"""An answer that is being written is kept once a second, whether words come or not."""

import pytest
from scripted import ScriptedModel

from llamachat.dialogue import autosave
from llamachat.dialogue.autosave import AutosaveSink, KeptAnswer
from llamachat.dialogue.sinks import Discard
from llamachat.dialogue.thinking import thinking_of
from llamachat.engine.events import Token
from llamachat.session.chats import ChatStore, StoredMessage


@pytest.fixture
def clock(monkeypatch):
    """Seconds, as a list of one."""
    now = [100.0]
    monkeypatch.setattr(autosave.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def kept(clock):
    """A view, and what is kept of the answer."""
    store = ChatStore(None)
    chat = store.create("m")
    question = store.add(chat, None, StoredMessage(0, None, "user", "question"))
    thinking = thinking_of("", ScriptedModel([]).tokenizer, [])
    view = AutosaveSink(Discard(), KeptAnswer(store, chat, question), thinking)
    return view, lambda: [one.content for one in store.path_of(chat)][1:]


def test_an_answer_is_made_with_its_first_word(kept):
    view, content = kept
    view.event(Token("", 1))
    assert content() == []
    view.event(Token("one ", 2))
    assert content() == ["one "]


def test_words_are_kept_within_a_second(kept, clock):
    view, content = kept
    view.event(Token("one ", 1))
    view.event(Token("two ", 2))
    assert content() == ["one "]
    clock[0] += 1
    view.event(Token("three ", 3))
    assert content() == ["one two three "]


def test_words_are_kept_while_the_model_thinks_about_the_next_one(kept, clock):
    view, content = kept
    view.event(Token("one ", 1))
    view.event(Token("two ", 2))
    clock[0] += 0.5
    view.idle()
    assert content() == ["one "]
    clock[0] += 0.5
    view.idle()
    assert content() == ["one two "]


def test_what_is_interrupted_is_kept_whole_and_marked(kept):
    view, content = kept
    view.event(Token("one ", 1))
    view.event(Token("two", 2))
    view.interrupt()
    assert content() == ["one two"]


def test_nothing_is_written_where_nothing_is_new(kept, clock, monkeypatch):
    view, content = kept
    view.event(Token("one", 1))
    monkeypatch.setattr(view._kept, "keep", lambda *_: pytest.fail("nothing is new"))
    clock[0] += 5
    view.idle()
    assert content() == ["one"]
