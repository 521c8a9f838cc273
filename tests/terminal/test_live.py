"""Rows that change at the end of a screen, and what is measured for them."""

import os
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from screens import Terminal

from llamachat.terminal import columns
from llamachat.terminal.columns import columns_of, cut, terminal_size, wrapped
from llamachat.terminal.live import LiveArea, Pace

RED, OFF = "\x1b[31m", "\x1b[0m"
LINES = st.lists(st.sampled_from(["", "a", "b", "same", "漢字", "x" * 10, f"{RED}red{OFF}", "y" * 23]), max_size=8)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.tuples(LINES, LINES), max_size=8))
def test_the_screen_has_what_is_done_and_then_the_rows_whatever_was_there(steps):
    terminal = Terminal(10, 6)
    area, wanted = LiveArea(terminal.screen), []
    for live, done in steps:
        area.show(live, done)
        rows = [row for line in live for row in cut(line, 10)][-5:]
        wanted += [row for line in done for row in cut(line, 10)]
        plain = [columns.STYLE.sub("", line).rstrip() for line in wanted + rows]
        while plain and not plain[-1]:
            plain.pop()
        assert terminal.lines == plain
    area.clear()
    assert terminal.pyte.cursor.x == 0


def test_the_cursor_stands_behind_the_last_row():
    terminal = Terminal(10, 6)
    area = LiveArea(terminal.screen)
    for rows in (["a", "bc"], ["a", "bcd"], ["a"], ["漢"], ["a", "", "b"]):
        area.show(rows)
        assert (terminal.pyte.cursor.x, terminal.pyte.cursor.y) == (columns_of(rows[-1]), len(rows) - 1)


def test_rows_that_stay_cost_nothing():
    terminal = Terminal(40, 6)
    area = LiveArea(terminal.screen)
    area.show(["one", "two"])
    before = len(terminal.raw)
    area.show(["one", "two"])
    assert len(terminal.raw) == before
    area.show(["one", "two", "three"])
    assert terminal.raw.count("one") == terminal.raw.count("two") == 1
    area.show((), ["one", "two", "three"])
    assert terminal.raw.count("three") == 1


def test_a_terminal_that_draws_wider_than_was_thought_does_not_make_two_rows_of_one():
    terminal = Terminal(10, 6)
    terminal.size = 12, 6  # as if each letter took more columns than is known
    area = LiveArea(terminal.screen)
    area.show((), ["done"])
    area.show(["first", "é" * 12])
    area.show(["second"])
    assert terminal.lines == ["done", "second"]


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("abc", 3),
        ("漢字", 4),
        ("é", 1),
        ("e\u0301", 1),
        ("🙂", 2),
        ("👨‍👩‍👧", 6),
        ("❤️", 2),
        ("🇩🇪", 4),
        ("👍🏽", 4),
        ("\u200b", 0),
    ],
)
def test_no_terminal_gives_a_text_more_columns(text, most):
    assert columns_of(text) == most


def test_a_line_is_cut_between_characters_and_keeps_its_colours():
    assert cut("abcdef", 4) == ["abcd", "ef"]
    assert cut("漢字漢", 5) == ["漢字", "漢"]
    assert cut(f"{RED}abcdef{OFF}g", 4) == [f"{RED}abcd{OFF}", f"{RED}ef{OFF}g"]
    assert cut("", 4) == [""]
    assert cut("漢", 1) == ["漢"]  # nothing else is possible


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(st.sampled_from("ab 漢🙂\n")), st.integers(2, 12))
def test_a_wrapped_text_fits_and_keeps_its_words(text, width):
    rows = wrapped(text, width)
    assert all(columns_of(row.rstrip()) <= width for row in rows)
    assert "".join(text.split()) == "".join("".join(rows).split())


def test_words_stay_whole_where_they_fit():
    assert wrapped("one two three four", 9) == ["one two", "three", "four"]
    assert wrapped("  indented text", 10) == ["  indented", "text"]


def test_drawing_takes_a_hundredth_of_the_time_and_fifteen_times_a_second_at_most():
    now = 0.0
    pace = Pace(lambda: now)
    assert pace.due
    with pace.drawing():
        pass
    assert not pace.due
    now = 0.05
    assert not pace.due
    now = 1e9
    assert pace.due


def test_columns_make_a_terminal_narrower_but_never_wider_than_it_is(monkeypatch):
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((80, 30)))
    monkeypatch.setattr(sys, "stdout", sys.__stdout__)
    monkeypatch.setenv("COLUMNS", "40")
    assert terminal_size()[0] == 40
    monkeypatch.setenv("COLUMNS", "400")
    assert terminal_size()[0] == 80
    monkeypatch.delenv("COLUMNS")
    assert terminal_size() == (80, 30)


def test_a_terminal_that_says_nothing_of_its_size_has_one(monkeypatch):
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((0, 0)))
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("LINES", raising=False)
    assert terminal_size() == (80, 24)
