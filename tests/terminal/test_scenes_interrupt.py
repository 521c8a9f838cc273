"""Ctrl+C at every moment of a chat: what is going on ends, what was said is kept, and the terminal is usable."""

import re

from talking_at import COOKED
from typing_at import CTRL_C, CTRL_D

LEAVES = "(Ctrl+C again or Ctrl+D leaves)"


def goes_on(person):
    """The prompt answers, and the person can leave."""
    person.ask("/help /bye")
    assert "Example: /bye" in person.text
    person.type(CTRL_D)
    assert person.end() == 0
    assert person.is_left_well


def test_while_the_model_loads_it_leaves(talk, smollm2):
    person = talk(model=smollm2, wait=False)
    person.until("loading")
    person.type(CTRL_C)
    assert person.end() == 130
    assert person.is_left_well
    assert person.text.strip() in ("", "^C")


def test_at_the_prompt_it_clears_the_line(talk):
    person = talk(answers=["Yes."])
    person.press("half a thought", CTRL_C)
    assert person.typed == ">"
    assert LEAVES in person.text
    goes_on(person)


def test_at_the_prompt_it_leaves_when_it_comes_twice(talk):
    person = talk(answers=["Yes."])
    person.press(CTRL_C)
    assert LEAVES in person.text
    person.type(CTRL_C)
    assert person.end() == 0
    assert person.is_left_well


def test_while_a_long_message_is_read_the_message_is_taken_back(talk, smollm2):
    person = talk("-n", "20", model=smollm2)
    person.send("\x1b[200~" + "many words " * 2000 + "\x1b[201~")
    person.until("reading the prompt")
    assert person.modes != COOKED
    person.child.sendintr()
    person.ready()
    assert "(interrupted)" in person.text
    assert "^C" not in person.text
    assert "reading the prompt" not in person.text
    person.ask("/tokens")
    assert int(re.search(r"The chat has (\d+) of", person.text)[1]) < 50
    goes_on(person)


def test_while_the_answer_comes_what_was_said_is_kept_and_marked(talk, smollm2):
    person = talk("-n", "2000", "--ignore-eos", model=smollm2)
    person.send("Tell me a story about a bear.")
    person.until(lambda lines: len([line for line in lines if line]) > 6)
    person.child.sendintr()
    person.ready()
    assert [line for line in person.shown if "interrupted" in line] == ["(interrupted)"]
    said = next(line for line in person.shown[3:] if line)[:30]
    person.ask("/template")
    assert "\n".join(person.shown).count(said) == 2
    goes_on(person)


def test_a_second_one_while_the_answer_comes_leaves_the_prompt_usable(talk, smollm2):
    person = talk("-n", "2000", "--ignore-eos", model=smollm2)
    person.send("Tell me a story about a bear.")
    person.until(lambda lines: len([line for line in lines if line]) > 4)
    person.type(CTRL_C * 2)
    person.ready()
    assert "interrupted" in person.text
    goes_on(person)


def test_while_a_message_of_lines_is_typed_it_goes_back_to_the_prompt(talk):
    person = talk(answers=["Yes."])
    person.send("/read")
    person.until("Type your message")
    person.press("a line\r", "another")
    person.child.sendintr()
    person.ready()
    assert "(interrupted)" in person.text
    assert "Yes." not in person.text
    goes_on(person)


def test_while_another_answer_comes_the_one_before_is_not_lost(talk, smollm2):
    person = talk("-n", "30", model=smollm2)
    person.ask("Name three fruits.")
    person.ask("/set n_predict 2000")
    person.ask("/set ignore_eos on")
    person.send("/regen")
    n_before = len(person.raw)
    person.until(lambda _lines: len(person.raw) > n_before + 1000)
    person.child.sendintr()
    person.ready()
    person.ask("/template")
    assert "\n".join(person.shown).count("1. Bananas") >= 2
    goes_on(person)


def test_within_the_editor_the_text_stays_as_it_was(talk, tmp_path):
    editor = tmp_path / "editor"
    editor.write_text(f"#!/bin/sh\ntouch {tmp_path}/open\nexec sleep 20\n")
    editor.chmod(0o755)
    person = talk(answers=["Yes."], EDITOR=str(editor))
    person.press("half a thought")
    person.type("\x18\x05")
    person.until(lambda _lines: (tmp_path / "open").exists())
    person.child.sendintr()
    person.until("nothing was changed")
    person.settle()
    assert person.typed.endswith("> half a thought")
    person.press("\x15")
    goes_on(person)
