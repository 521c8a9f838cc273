"""A chat whose talk outgrows the context: what is forgotten, summarised or refused, and what is said of it."""

from dataclasses import replace

import pytest
from scripted_chat import prompts, talk

from llamachat.dialogue.fitting import ASK
from llamachat.dialogue.responder import Responder
from llamachat.errors import Cancelled, ContextFull
from llamachat.terminal.commands import run_command


def test_what_was_forgotten_is_remembered_when_nothing_else_is_left(make):
    chat = make(n_ctx=400)
    for number in range(8):
        chat.ask(f"question {number} {'x' * 30}")
    assert chat.conversation.forgotten > 4
    run_command("/undo 6", chat)
    for number in range(2):
        chat.ask(f"new {number}")
    assert [message["content"][:10] for message in chat.conversation.messages()[::2]] == [
        "question 0", "question 1", "new 0", "new 1",
    ]  # fmt: skip


def test_the_oldest_turns_become_a_summary(make, capsys):
    answers = [*(f"answer {number}" for number in range(4)), "It was about x."]
    chat = make(*answers, n_ctx=700, on_full="summarize")
    run_command("/system Be kind", chat)
    for number in range(5):
        chat.ask(f"question {number} {'x' * 70}")
    said = capsys.readouterr().out
    assert "oldest 3 turns become a summary)" in said
    asked = next(prompt for prompt in prompts(chat) if "Summarise our conversation" in prompt)
    assert "Be kind" in asked
    assert "question 0" in asked
    assert "question 3" not in asked
    first = chat.conversation.messages()[1]["content"]
    assert first.startswith("(What was said before, in short: It was about x.)\n\nquestion 3")
    assert len(chat.conversation.path()) == 10  # the chat has them still, and without the summary
    assert not any("in short" in message.content for message in chat.conversation.path())
    run_command("/show", chat)
    assert "the first 6 messages are forgotten, of which it knows: It was about x." in capsys.readouterr().out
    run_command("/clear", chat)
    assert chat.conversation.summary == ""


def test_a_summary_costs_no_more_than_its_question(make, monkeypatch):
    chat = make(*(f"answer {number}" for number in range(5)), n_ctx=700, on_full="summarize")
    answers, answer = [], Responder.answer

    def spoken(self, *given):
        answers.append(answer(self, *given))
        return answers[-1]

    monkeypatch.setattr(Responder, "answer", spoken)
    for number in range(5):
        chat.ask(f"question {number} {'x' * 80}")
    summary = next(one for one in answers if one.timings.n_generated and one.text == "answer 4")
    assert summary.timings.n_prompt - summary.timings.n_known <= len(ASK) + len("user\nassistant\n") + 8


def test_a_summary_that_is_stopped_forgets_nothing_and_asks_nothing(make, monkeypatch):
    chat = make(n_ctx=700, on_full="summarize")
    for number in range(4):
        chat.ask(f"question {number} {'x' * 80}")
    before, answer = talk(chat), Responder.answer
    monkeypatch.setattr(Responder, "answer", lambda self, *given: replace(answer(self, *given), reason="cancelled"))
    with pytest.raises(Cancelled):
        chat.ask(f"question 4 {'x' * 80}")
    assert talk(chat) == before
    assert chat.conversation.store.settings(chat.conversation.chat).get("forgotten") is None


def test_an_empty_summary_is_no_summary_and_that_is_said(make, capsys):
    chat = make(*(f"answer {number}" for number in range(4)), "", "the end", n_ctx=700, on_full="summarize")
    for number in range(5):
        chat.ask(f"question {number} {'x' * 80}")
    assert "turns are forgotten)" in capsys.readouterr().out
    assert chat.conversation.messages()[0]["content"].startswith("question 3")


def test_an_answer_that_outgrows_the_context_forgets_the_talk_but_not_what_the_model_was_told(make, capsys):
    chat = make("y" * 400, n_ctx=300)
    chat.responder = replace(chat.responder, options=replace(chat.responder.options, n_keep=0, max_tokens=300))
    run_command("/system The word is plugh", chat)
    chat.ask("Say it")
    assert "older tokens were forgotten within this answer)" in capsys.readouterr().out
    held = chat.tokenizer.decode(chat.responder.context.tokens)
    assert "The word is plugh" in held
    assert "Say it" not in held


def test_where_nothing_may_be_forgotten_an_answer_ends_with_the_context(make, capsys):
    chat = make("y" * 400, n_ctx=300, on_full="stop")
    chat.responder = replace(chat.responder, options=replace(chat.responder.options, n_keep=0, max_tokens=500))
    chat.ask("Say it")
    assert chat.last.reason == "context"
    assert "(cut short: the context is full" in capsys.readouterr().out
    assert chat.last.timings.n_forgotten == 0


def test_where_nothing_may_be_forgotten_the_chat_stops_with_the_numbers(make):
    chat = make(n_ctx=200, on_full="stop")
    for number in range(4):
        chat.ask(f"question {number}")
    before = talk(chat)
    with pytest.raises(ContextFull, match=r"the chat has \d+ tokens, but the context holds 200"):
        chat.ask("x" * 100)
    assert talk(chat) == before


def test_a_larger_context_remembers_what_a_smaller_one_forgot(make):
    chat = make(n_ctx=400)
    for number in range(6):
        chat.ask(f"question {number} {'x' * 30}")
    assert chat.conversation.forgotten > 0
    run_command("/set ctx_size 3000", chat)
    assert chat.conversation.forgotten == 0
    chat.ask("And now?")
    assert "question 0" in prompts(chat)[-1]
