"""Code in colours, line by line."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llamachat.terminal.cleaning import Cleaner
from llamachat.terminal.highlight import LONGEST, Highlighter
from llamachat.terminal.sanitize import clean

STYLE = re.compile(r"\x1b\[[0-9;]*m")


def coloured(language, *lines):
    code = Highlighter(language)
    return [code.line(line) for line in lines]


def colours(line):
    return set(STYLE.findall(line)) - {"\x1b[0m"}


@pytest.mark.parametrize(
    "language", ["python", "c", "js", "bash", "html", "json", "diff", "console", "md", "nonsense", ""]
)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(lines=st.lists(st.text(st.sampled_from("ab \"'`/*{}<>#\\$=0:\t-+漢"), max_size=20), max_size=6))
def test_colours_change_no_character(language, lines):
    code = Highlighter(language)
    for line in lines:
        assert STYLE.sub("", code.preview(line)) == line.rstrip()
        assert STYLE.sub("", code.line(line)) == line.rstrip()


def test_a_known_language_has_several_colours_and_an_unknown_one_its_own():
    (known,) = coloured("python", "def f(x): return 'a'  # why")
    assert len(colours(known)) >= 3
    assert coloured("nonsense", "def f(x)") == ["\x1b[36mdef f(x)\x1b[0m"]


def test_a_docstring_is_one_string_to_its_end():
    _, second, third, fourth = coloured("python", 'x = """if', "for while", 'end"""', "for while")
    assert len(colours(second)) == 1
    assert colours(third) == colours(second)
    assert colours(fourth) != colours(second)


def test_a_comment_of_several_lines_is_one_comment():
    _, second, third, fourth = coloured("c", "int x; /* if", "for (;;)", "end */", "for (;;)")
    assert len(colours(second)) == 1
    assert colours(third) == colours(second)
    assert colours(fourth) != colours(second)


def test_a_comment_of_one_line_ends_with_it():
    _, second = coloured("c", "// if", "for (;;)")
    assert colours(second) != colours(coloured("c", "// for (;;)")[0])


def test_a_preview_changes_nothing():
    code = Highlighter("python")
    code.preview('x = """')
    assert code.line("for") == coloured("python", "for")[0]


def test_a_very_long_line_is_not_looked_at():
    line = "'" * (LONGEST + 1)
    assert coloured("python", line) == [f"\x1b[36m{line}\x1b[0m"]


PIECES = ["\x1b", "[", "]", "0;", "31m", "\x07", "\x1b\\", "\x9b", "\x9d", "P", "text", "\n", " ", "\x18", "漢"]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.integers(1, 5))
def test_a_text_in_pieces_is_cleaned_as_at_once(text, size):
    cleaner = Cleaner()
    pieces = [cleaner.feed(text[at : at + size]) for at in range(0, len(text), size)]
    assert "".join(pieces) + cleaner.finish() == clean(text)


def test_a_sequence_without_end_does_not_hold_the_answer_back():
    cleaner = Cleaner()
    assert cleaner.feed("\x1b]" + "x" * 3000) == ""
    assert "x" * 3000 in cleaner.feed("y" * 3000)
