"""How many tokens a chat with a real model evaluates: those that are new, and no others."""

from dataclasses import replace

import pytest

from llamachat.engine.generate import GenerationOptions
from llamachat.engine.model import Model
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.session.chats import ChatStore
from llamachat.terminal.chatting import Chat
from llamachat.terminal.commands import run_command
from llamachat.terminal.conversation import Conversation
from llamachat.terminal.output import Output
from llamachat.terminal.speaker import Speaker
from llamachat.terminal.status import Status

BETWEEN = 24
"""Tokens of a short question, and of the template between an answer and the next one."""


@pytest.fixture(scope="module")
def model(smollm2):
    with Model(smollm2, n_ctx=1024) as made:
        yield made


@pytest.fixture
def chat(model):
    options = GenerationOptions(sampling=SamplingOptions(temp=0.0), max_tokens=24)
    speaker = Speaker(model, model.context(1024), options, Output(), Status()).answering()
    store = ChatStore(None)
    talk = Conversation(model.tokenizer, speaker.template, store, store.create("m"))
    talk.set(system="You are a helpful assistant.")
    return Chat(speaker, talk)


def evaluated(chat):
    return chat.last.timings.n_prompt - chat.last.timings.n_known


def test_earlier_turns_are_never_evaluated_again(chat):
    chat.ask("My name is Anna and I live in Oslo. Describe the town.")
    assert evaluated(chat) == chat.last.timings.n_prompt
    ids = chat.last.ids
    canonical = chat.tokenizer.encode(chat.last.text, add_special=False)
    assert canonical != ids  # the answer is one that a tokenizer would spell otherwise
    chat.ask("Go on.")
    assert evaluated(chat) <= BETWEEN
    run_command("/regen", chat)
    assert evaluated(chat) == 1
    run_command("/undo", chat)
    chat.ask("Why?")
    assert evaluated(chat) <= BETWEEN
    run_command("/system You are terse.", chat)
    chat.ask("Really?")
    assert evaluated(chat) > 2 * len(ids)
    chat.ask("Go on.")
    assert evaluated(chat) <= BETWEEN


def test_an_interrupted_answer_is_kept_and_not_evaluated_again(chat, monkeypatch):
    speak = Speaker.speak
    monkeypatch.setattr(Speaker, "speak", lambda self, ids: replace(speak(self, ids), reason="cancelled"))
    chat.ask("My name is Anna and I live in Oslo. Describe the town.")
    assert chat.conversation.path()[-1].state == "interrupted"
    monkeypatch.setattr(Speaker, "speak", speak)
    chat.ask("Go on.")
    assert evaluated(chat) <= BETWEEN
