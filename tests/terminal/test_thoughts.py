"""Folded thoughts are opened by a command and by a key."""

import pytest

from llamachat.errors import UsageError
from llamachat.terminal.commands import run_command

THINKS = "{{ messages[-1].content }}<think></think>"
TEMPLATE = ["--chat-template", THINKS + "{% if add_generation_prompt %}<|im_start|>{% endif %}"]


def test_the_thoughts_before_an_answer_are_shown(make, capsys):
    chat = make("<think>\nFirst thought.\n</think>\n\nOne.", "<think>Second\x1b[2J thought.</think>Two.", "Three.")
    chat.conversation.template = type(chat.conversation.template)(
        chat.conversation.template.source + "{# <think></think> #}"
    )
    for _ in range(3):
        chat.ask("Well?")
    capsys.readouterr()
    run_command("/thoughts", chat)
    assert "Second" in capsys.readouterr().out
    run_command("/thoughts 2", chat)
    assert capsys.readouterr().out == "First thought.\n"
    for words in ("3", "0", "x"):
        with pytest.raises(UsageError, match=r"thoughts"):
            run_command(f"/thoughts {words}", chat)


def test_without_thoughts_it_says_so(make):
    with pytest.raises(UsageError, match=r"no answer of this chat has thoughts"):
        run_command("/thoughts", make())


def test_ctrl_o_shows_them_above_the_line_that_is_being_typed(talk):
    person = talk(*TEMPLATE, answers=["<think>I weigh it.</think>Yes."])
    person.ask("Well?")
    assert any("Ctrl+O shows it" in line for line in person.shown)
    assert not any(line == "I weigh it." for line in person.shown)
    person.press("half a message", "\x0f")
    person.until("I weigh it.")
    assert person.typed == "> half a message"


def test_ctrl_o_without_thoughts_says_so(talk):
    person = talk(answers=["Yes."])
    person.press("\x0f")
    person.until("(no answer of this chat has thoughts)")
    assert person.typed == ">"
