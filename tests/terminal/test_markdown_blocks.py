"""Markdown cut into blocks as it comes."""

import pytest

from llamachat.terminal.blocks import Block, Blocks, CodeEnd, CodeLine, tail
from llamachat.terminal.formulas import MOST_LINES


def test_blocks_are_cut_as_they_are_finished():
    blocks = Blocks()
    assert blocks.feed("# A\npara") == [Block("# A")]
    assert blocks.rest == Block("para")
    assert blocks.feed("graph\nmore\n\n- a\n") == [Block("paragraph\nmore")]
    assert blocks.feed("- b\n\nText\n```py\nx = 1\n") == [
        Block("- a\n- b"),
        Block("Text"),
        CodeLine("x = 1", "py", True),
    ]
    assert blocks.feed("y\n```\n") == [CodeLine("y", "py", False), CodeEnd("py", False)]
    assert blocks.feed("end") == []
    assert blocks.finish() == [Block("end")]


def test_an_open_fence_ends_with_the_text():
    blocks = Blocks()
    blocks.feed("```\na\nb")
    assert blocks.rest == CodeLine("b", "", False)
    assert blocks.finish() == [CodeLine("b", "", False), CodeEnd("", False)]


def test_fenced_code_without_a_line_ends_all_the_same():
    assert Blocks().feed("```py\n```\n") == [CodeEnd("py", True)]


def test_a_formula_is_one_block_whatever_its_lines_are():
    formula = "\\[\na\n\n# b\n- c\n\\]"
    assert Blocks().feed(f"Text\n\n{formula}\n\nend\n") == [Block("Text"), Block(formula)]
    assert Blocks().feed("1. $$\n\na\n$$\n\nend\n")[0] == Block("1. $$\n\na\n$$")


def test_a_formula_that_never_ends_is_none_after_a_while():
    blocks = Blocks()
    blocks.feed("$$ a\n" + "line\n\n" * MOST_LINES)
    assert blocks.rest == Block("")
    assert blocks.feed("$$ a\n```\nx\n")[-1] == CodeLine("x", "", True)


def test_a_long_list_comes_in_parts_that_continue_one_another():
    found = Blocks().feed("- item\n" * 30 + "\nText\n\n")
    assert [one.continues for one in found] == [False, True, True, False]


@pytest.mark.parametrize(
    ("told", "language"), [("python", "python"), (" C++ x=1", "C++"), ("{.py .x}", "py"), ("js:a.js", "js"), ("", "")]
)
def test_the_language_of_a_fence_is_its_first_word(told, language):
    assert Blocks().feed(f"```{told}\nx\n") == [CodeLine("x", language, True)]


def test_a_long_block_is_drawn_from_a_place_near_its_end():
    text = " ".join(f"word{n}" for n in range(3000))
    assert len(tail(text, 24)) <= 6100
    assert text.endswith(tail(text, 24))
    table = "| a |\n|---|\n" + "".join(f"| row {n} |\n" for n in range(900))
    assert tail(table, 24).startswith("| a |\n|---|\n")
    assert len(tail(table, 24).split("\n")) == 26
    assert tail("short", 24) == "short"
