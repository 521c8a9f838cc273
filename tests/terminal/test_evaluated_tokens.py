"""How many tokens a chat with a real model evaluates: those that are new, and no others."""

import threading
from dataclasses import replace

import pytest

from llamachat.dialogue.conversation import Conversation
from llamachat.dialogue.keeper import Keeper
from llamachat.dialogue.responder import Responder
from llamachat.dialogue.snapshots import restore_snapshot, save_snapshot
from llamachat.engine.context import Context
from llamachat.engine.generate import GenerationOptions
from llamachat.engine.model import Model
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.session.chats import ChatStore
from llamachat.session.snapshots import Snapshots
from llamachat.templates.renderer import ChatTemplate
from llamachat.terminal.chatting import Chat
from llamachat.terminal.commands import run_command
from llamachat.terminal.commands.switching import switch_chat
from llamachat.terminal.console import Console
from llamachat.terminal.reading_ahead import reading_ahead

BETWEEN = 24
"""Tokens of a short question, and of the template between an answer and the next one."""


@pytest.fixture(scope="module")
def model(smollm2):
    with Model(smollm2, n_ctx=1024) as made:
        yield made


@pytest.fixture
def chat(model):
    options = GenerationOptions(sampling=SamplingOptions(temp=0.0), max_tokens=24)
    responder = Responder(model, model.context(1024), options, Console()).in_chats()
    store = ChatStore(None)
    talk = Conversation(model.tokenizer, responder.template, store, store.create("m"))
    talk.set(system="You are a helpful assistant.")
    return Chat(responder, talk)


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


def test_what_a_full_context_forgets_costs_no_evaluation(chat, capsys):
    chat.responder = replace(chat.responder, context=chat.responder.model.context(300))
    forgot = 0
    for number in range(12):
        chat.ask(f"What about {number}?")
        assert evaluated(chat) <= (BETWEEN + 24 if number == 0 else BETWEEN)
        forgot += "forgotten)" in capsys.readouterr().out
        if number == 9:
            run_command("/regen", chat)
            assert evaluated(chat) == 1
    assert 1 <= forgot <= 4
    assert chat.conversation.messages()[0] == {"role": "system", "content": "You are a helpful assistant."}
    held = chat.tokenizer.decode(chat.responder.context.tokens)
    assert "You are a helpful assistant." in held
    assert "What about 0?" not in held
    assert held.count("What about") == len(chat.conversation.messages()) // 2


def test_what_knows_of_one_chat_is_not_used_in_another(chat):
    chat.responder = replace(chat.responder, context=chat.responder.model.context(300))
    for number in range(8):
        chat.ask(f"What about {number}?")
    context, store = chat.responder.context, chat.conversation.store
    assert context.n_reusable < len(context.tokens)
    other = store.fork(chat.conversation.chat)
    chat.keeper = Keeper(store, 0, lambda _said, _nothing: "quit")
    switch_chat(chat, other)
    assert len(context.tokens) == context.n_reusable


def test_an_interrupted_answer_is_kept_and_not_evaluated_again(chat, monkeypatch):
    answer = Responder.answer
    monkeypatch.setattr(Responder, "answer", lambda self, *given: replace(answer(self, *given), reason="cancelled"))
    chat.ask("My name is Anna and I live in Oslo. Describe the town.")
    assert chat.conversation.path()[-1].state == "interrupted"
    monkeypatch.setattr(Responder, "answer", answer)
    chat.ask("Go on.")
    assert evaluated(chat) <= BETWEEN


def wait_for_reading(chat):
    """Until the model has read what it can while the person types."""
    with reading_ahead(chat):
        for thread in threading.enumerate():
            if thread.name == "llamachat-prefill":
                thread.join()


def on_a_terminal(chat):
    chat.console.output.is_terminal = True
    return chat


def test_what_the_model_is_told_is_read_while_the_person_types(chat):
    wait_for_reading(on_a_terminal(chat))
    chat.ask("Hello.")
    assert evaluated(chat) < 10 < chat.last.timings.n_prompt


def test_nothing_is_read_ahead_where_nobody_types(chat):
    wait_for_reading(chat)
    assert chat.responder.context.tokens == []


FORGETFUL = """
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content.split("</think>")[-1] }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
"""A template that takes earlier thoughts away."""

THINKING = 'root ::= "<think>" [a-z ]{40,60} "</think>" [a-z ]{40,60}'


def test_thoughts_that_a_template_takes_away_cost_nothing_when_the_next_message_is_sent(chat):
    on_a_terminal(chat)
    chat.conversation.template = ChatTemplate(FORGETFUL)
    run_command(f"/grammar {THINKING}", chat)
    chat.responder = replace(chat.responder, options=replace(chat.responder.options, max_tokens=200))
    chat.ask("My name is Anna. Describe the town.")
    said = chat.conversation.path()[-1].content
    assert said.startswith("<think>")
    assert "</think>" in said
    wait_for_reading(chat)
    chat.ask("Go on.")
    assert evaluated(chat) <= BETWEEN
    assert said.partition("</think>")[2] in chat.tokenizer.decode(chat.prompt)
    assert said.partition("</think>")[0] not in chat.tokenizer.decode(chat.prompt)


def test_reading_ahead_ends_with_the_typing(chat):
    on_a_terminal(chat).conversation.set(system="word " * 600)
    with reading_ahead(chat):
        pass
    assert not [one for one in threading.enumerate() if one.name == "llamachat-prefill"]
    chat.ask("Hello.")
    assert chat.last.timings.n_prompt > 600


def test_a_chat_that_outgrew_its_context_goes_on_from_what_was_computed(chat, tmp_path):
    model = chat.responder.model
    chat.responder = replace(chat.responder, context=model.context(600))
    while chat.responder.context.n_reusable == len(chat.responder.context.tokens):
        chat.ask(f"What about {len(chat.conversation.path())}?")
    snapshots = Snapshots(tmp_path, 1 << 30)
    save_snapshot(chat.responder, snapshots, 1)
    later = replace(chat.responder, context=model.context(600))
    n_known = restore_snapshot(later, snapshots, 1)
    assert n_known == len(chat.responder.context.tokens) > later.context.n_reusable
    chat.responder = later
    chat.ask("And now?")
    assert evaluated(chat) <= BETWEEN


def test_of_a_chat_that_outgrew_its_context_only_the_last_turn_is_read_ahead(chat, monkeypatch):
    on_a_terminal(chat)
    chat.conversation.template = ChatTemplate(FORGETFUL)
    run_command(f"/grammar {THINKING}", chat)
    options = replace(chat.responder.options, max_tokens=120)
    chat.responder = replace(chat.responder, context=chat.responder.model.context(320), options=options)
    for number in range(12):
        chat.ask(f"What about {number}?")
        wait_for_reading(chat)
    assert chat.conversation.forgotten > 0
    assert chat.responder.context.n_reusable < len(chat.responder.context.tokens)
    chat.ask("And you?")
    n_said, read, evaluate = len(chat.last.ids), [], Context.eval
    monkeypatch.setattr(
        Context, "eval", lambda self, ids, *more, **how: [read.append(len(ids)), evaluate(self, ids)][1]
    )
    wait_for_reading(chat)
    assert 0 < sum(read) <= n_said + BETWEEN < len(chat.responder.context.tokens)
