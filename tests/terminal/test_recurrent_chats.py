"""Chats with models whose state cannot go back to every place: what each command evaluates, and whole programs."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from random_models import RECURRENT, write_random
from typing_at import CTRL_D

from llamachat.dialogue.conversation import Conversation
from llamachat.dialogue.kept_prompt import PromptKeeper
from llamachat.dialogue.responder import Responder
from llamachat.dialogue.snapshots import restore_snapshot, save_snapshot
from llamachat.engine.generate import GenerationOptions
from llamachat.engine.model import Model
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.speculation.lookup import Lookup
from llamachat.engine.speculation.proposer import Speculation
from llamachat.session.chats import ChatStore
from llamachat.session.snapshots import Snapshots
from llamachat.terminal.chatting import Chat
from llamachat.terminal.commands import run_command
from llamachat.terminal.console import Console
from llamachat.terminal.reading_ahead import reading_ahead

BETWEEN = 24
"""Tokens of a short question, and of the template between an answer and the next one."""

ANSWER = 24
"""Tokens of an answer."""


@pytest.fixture(scope="module", params=RECURRENT)
def path(request, smollm2, tmp_path_factory):
    return write_random(tmp_path_factory.mktemp("recurrent") / f"{request.param}.gguf", request.param, smollm2)


@pytest.fixture(scope="module")
def model(path):
    with Model(path, n_ctx=1024) as made:
        yield made


def new_chat(model, n_ctx=1024, speculation=None):
    options = GenerationOptions(sampling=SamplingOptions(temp=0.0), max_tokens=ANSWER)
    responder = Responder(model, model.context(n_ctx), options, Console()).in_chats()
    responder = replace(responder, speculation=speculation)
    store = ChatStore(None)
    talk = Conversation(model.tokenizer, responder.template, store, store.create("m"))
    talk.set(system="You are a helpful assistant. " * 5)
    return Chat(responder, talk)


@pytest.fixture
def chat(model):
    return new_chat(model)


def evaluated(chat):
    return chat.last.timings.n_prompt - chat.last.timings.n_known


def test_turns_and_other_answers_evaluate_little(chat):
    chat.ask("My name is Anna.")
    first = chat.last.text
    assert evaluated(chat) == chat.last.timings.n_prompt
    chat.ask("Go on.")
    assert evaluated(chat) <= ANSWER + BETWEEN  # an answer of random weights may hold tokens that print nothing
    run_command("/regen", chat)
    assert evaluated(chat) == 1
    run_command("/undo", chat)
    chat.ask("Why?")
    assert evaluated(chat) <= ANSWER + BETWEEN + 1  # from the end of the first prompt on
    run_command("/undo 2", chat)
    chat.ask("My name is Anna.")
    assert chat.last.text == first
    assert evaluated(chat) == 1


def test_answers_are_those_of_a_chat_that_was_never_changed(model, chat):
    chat.ask("My name is Anna.")
    chat.ask("Go on.")
    run_command("/regen", chat)
    run_command("/undo", chat)
    chat.ask("Why?")
    found = chat.last.ids
    fresh = new_chat(model)
    fresh.ask("My name is Anna.")
    fresh.ask("Why?")
    assert fresh.last.ids == found


def test_an_edited_message_is_answered_from_the_place_where_the_texts_part(chat):
    chat.ask("My name is Anna.")
    chat.ask("Go on.")
    chat.ask("And then?")
    n_whole = chat.last.timings.n_prompt
    chat.editor = lambda _before: "Go away."
    run_command("/edit 2", chat)
    assert chat.conversation.messages()[-2]["content"] == "Go away."
    assert evaluated(chat) <= ANSWER + BETWEEN + 1 < n_whole


def test_guesses_change_no_answer(model, chat):
    guessing = new_chat(model, speculation=Speculation(Lookup(None), 4))
    for question in ("My name is Anna. My name is Anna. My name is Anna.", "Go on.", "Go on."):
        chat.ask(question)
        guessing.ask(question)
        assert guessing.last.ids == chat.last.ids
        assert guessing.responder.context.tokens == chat.responder.context.tokens
        assert evaluated(guessing) == evaluated(chat)


def wait_for_reading(chat):
    """Until the model has read what it can while the person types."""
    with reading_ahead(chat):
        for thread in threading.enumerate():
            if thread.name == "llamachat-prefill":
                thread.join()


def test_what_the_model_is_told_is_read_while_the_person_types(chat):
    chat.console.output.is_terminal = True
    wait_for_reading(chat)
    chat.ask("Hello.")
    assert evaluated(chat) < 10 < chat.last.timings.n_prompt
    wait_for_reading(chat)
    chat.ask("Go on.")
    assert evaluated(chat) <= BETWEEN


def test_a_chat_is_kept_and_goes_on_later(model, chat, tmp_path):
    chat.conversation.set(system="You are terse. " * 80)
    chat.ask("My name is Anna.")
    snapshots = Snapshots(tmp_path, 1 << 30)
    save_snapshot(chat.responder, snapshots, 1)
    later = replace(chat.responder, context=model.context(1024))
    assert restore_snapshot(later, snapshots, 1) == len(chat.responder.context.tokens)
    chat.ask("Go on.")
    found = chat.last.ids
    run_command("/undo", chat)
    chat.responder = later
    chat.ask("Go on.")
    assert chat.last.ids == found
    assert evaluated(chat) <= BETWEEN


def test_a_full_context_forgets_turns_and_goes_on(model, capsys):
    chat = new_chat(model, 200)
    for number in range(12):
        chat.ask(f"What about {number}?")
        assert len(chat.last.ids) > 0
    assert chat.conversation.messages()[0]["role"] == "system"
    assert "forgotten" in capsys.readouterr().out


def test_a_chat_in_a_terminal(talk, path):
    person = talk("-n", "12", "--ignore-eos", "-c", "512", model=path)
    person.ask("My name is Anna.")
    person.ask("/regen")
    person.ask("/undo")
    person.press("\x15")
    person.ask("Go on.")
    person.ask("/stats")
    assert any("tokens" in line for line in person.lines)
    person.type(CTRL_D)
    assert person.end() == 0
    assert person.is_left_well


def test_a_prompt_cache_holds_the_prompt_without_its_last_token(model, tmp_path):
    prompt = model.tokenizer.encode("You are terse. " * 40)
    told = []
    keeper = PromptKeeper(tmp_path / "prompt.cache", told.append, told.append)

    def answered():
        chat = new_chat(model)
        keeper.take_over(chat.responder, prompt)
        answer = chat.responder.answer(prompt, SimpleNamespace(event=lambda _: None, idle=lambda: None))
        keeper.keep(chat.responder, len(prompt))
        return answer

    first, second = answered(), answered()
    assert told == [f"[{len(prompt) - 1} of {len(prompt)} tokens of the prompt are known from {keeper.path}]"]
    assert second.ids == first.ids
    assert second.timings.n_known == len(prompt) - 1
