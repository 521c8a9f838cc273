"""/why: what else could have been said, and an answer that goes on from another choice."""

import json

import numpy as np
import pytest
from scripted import EOS
from scripted_chat import talk

from llamachat.errors import UsageError
from llamachat.terminal.commands import run_command, why


def test_why_shows_alternatives_and_goes_on_from_another_choice(make, capsys):
    chat = make("Hi there", "new end")
    chat.ask("Hello")
    run_command("/why 1", chat)
    assert "'H' 100%" in capsys.readouterr().out
    evaluated = len(chat.responder.context.tokens)
    assert evaluated == len(chat.prompt) + len(chat.last.ids) - 1
    run_command("/why 4 2", chat)
    assert chat.last.text.startswith("Hi ")
    assert not chat.last.text.startswith("Hi t")
    tree = chat.conversation.store.tree_of(chat.conversation.chat)
    assert [one.role for one in tree] == ["user", "assistant", "assistant"]
    assert talk(chat)[-1] == ("assistant", chat.last.text)
    for line in ("/why 99", "/why a", "/why 1 9", "/why 1 1 1"):
        with pytest.raises(UsageError):
            run_command(line, chat)


def test_an_end_that_is_chosen_ends_the_answer(make, monkeypatch):
    chat = make("Hi there", "never said")
    chat.ask("Hello")
    monkeypatch.setattr(why, "_likeliest", lambda rows: (np.full((len(rows), 4), EOS), np.ones((len(rows), 4))))
    run_command("/why 4 1", chat)
    assert (chat.last.text, chat.last.reason, chat.last.ids) == ("Hi ", "eos", list(b"Hi "))
    assert talk(chat)[-1] == ("assistant", "Hi ")


def test_another_choice_stays_within_the_grammar(make, monkeypatch):
    chat = make("[1,2]", "9]")
    run_command("/json", chat)
    chat.ask("Numbers")
    assert chat.last.text == "[1,2]"
    monkeypatch.setattr(why, "_likeliest", lambda rows: (np.full((len(rows), 4), ord("7")), np.ones((len(rows), 4))))
    run_command("/why 4 1", chat)
    assert chat.last.text.startswith("[1,7")
    assert isinstance(json.loads(chat.last.text), list)


def test_why_speaks_of_the_answer_that_the_chat_ends_with(make, capsys):
    chat = make("one", "two", "six")
    chat.ask("first")
    chat.ask("second")
    run_command("/undo", chat)
    capsys.readouterr()
    run_command("/why", chat)
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[1:4]] == ["'o'", "'n'", "'e'"]
    run_command("/undo", chat)
    with pytest.raises(UsageError, match="no answer yet"):
        run_command("/why", chat)
