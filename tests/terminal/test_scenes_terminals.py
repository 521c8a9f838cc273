"""A chat in every kind of terminal, and where there is none."""

import json
import re
import sys

import pytest
from talking_at import SCRIPTED
from typing_at import CTRL_D, Person, environment

ANSWER = "# Plums\n\nThey are **blue**.\n\n```python\nplum = 'blue'\n```\n"
SGR = re.compile(r"\x1b\[[0-9;:]*m")
ESCAPE = re.compile(r"\x1b[\[\]()A-Z]")


@pytest.mark.parametrize(
    ("term", "columns", "rows"),
    [
        pytest.param("xterm-256color", 80, 24, id="usual"),
        pytest.param("xterm-256color", 40, 24, id="narrow"),
        pytest.param("xterm-256color", 200, 50, id="wide"),
        pytest.param("xterm-256color", 80, 10, id="low"),
        pytest.param("dumb", 80, 24, id="dumb"),
        pytest.param(None, 80, 24, id="unknown"),
    ],
)
def test_a_chat_from_beginning_to_end(talk, smollm2, term, columns, rows):
    person = talk("-n", "40", model=smollm2, TERM=term, columns=columns, rows=rows, wait=False)
    person.until(lambda lines: ">" in lines)
    person.settle()
    n_before = len(person.raw)
    person.type("Name three fruits.\r")
    person.until(lambda _lines: re.search(r"Grapes(.|\n)*> ", person.raw[n_before:]))
    person.settle()
    person.type(CTRL_D)
    assert person.end() == 0
    assert person.is_left_well
    assert bool(ESCAPE.search(person.raw)) is (term == "xterm-256color")
    assert sum("Grapes" in line for line in person.shown) == 1


def test_no_color_means_that_answers_have_no_colour_codes(talk):
    person = talk(answers=[ANSWER], NO_COLOR="1")
    assert SGR.findall(person.ask("Tell me."))  # bold headings stay
    assert "Plums" in person.text
    codes = {code for codes in SGR.findall(person.raw) for code in codes[2:-1].split(";")}
    assert codes <= {"", "0", "1", "2", "3", "4", "7"}


def test_plain_is_the_raw_text(talk):
    person = talk("--plain", answers=[ANSWER])
    assert SGR.findall(person.ask("Tell me.")) == []
    assert person.shown[3:11] == ["", *ANSWER.split("\n")[:7]]


def test_colours_are_those_of_the_terminals_theme(talk):
    person = talk(answers=[ANSWER])
    drawn = person.ask("Tell me.")
    assert SGR.findall(drawn)
    person.press("/", "\t", "\x1b", "\x15", "something")
    codes = [code for codes in SGR.findall(person.raw) for code in codes[2:-1].split(";")]
    assert not {"38", "48"} & set(codes)
    assert not {str(number) for number in (*range(40, 48), 37, 30, 97)} & set(codes)


def test_a_pipe_behind_a_terminal_gets_the_answer_alone(own_home, tmp_path):
    command = f"{sys.executable} {SCRIPTED} chat > {tmp_path}/answer"
    own = environment(own_home, SCRIPTED_ANSWERS=json.dumps([ANSWER]))
    person = Person(["sh", "-c", command], own)
    person.settle()
    person.type(f"Tell me.\r{CTRL_D}")
    assert person.end() == 0
    assert (tmp_path / "answer").read_text() == ANSWER
    assert "Plums" not in person.text


def test_a_pipe_before_it_is_one_message_that_the_terminal_sees_answered(own_home):
    command = f"printf 'one\\ntwo\\n' | {sys.executable} {SCRIPTED} chat"
    own = environment(own_home, SCRIPTED_ANSWERS=json.dumps([ANSWER, "Another."]))
    person = Person(["sh", "-c", command], own)
    person.until(lambda _lines: re.search(r"Plums(.|\n)*> ", person.raw))  # the chat continues at the terminal
    person.settle()
    person.type(CTRL_D)
    assert person.end() == 0
    assert "Another" not in person.text
