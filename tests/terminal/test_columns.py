"""Texts measured in columns: padded, filled, and in every table and heading that has text of others in it."""

import io
import os
import re
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import llamachat
from llamachat.cli.help import definitions
from llamachat.terminal.code_block import code_head
from llamachat.terminal.columns import STYLE, columns_of, filled, padded, terminal_size
from llamachat.terminal.rows import as_table
from llamachat.terminal.table import Column, paragraph, stacked_lines

WIDE = "漢字漢字"


def test_a_text_is_padded_to_columns_not_to_characters():
    assert padded(WIDE, 10) == WIDE + "  "
    assert padded("e\u0301", 3, right=True) == "  e\u0301"
    assert padded("ab", 5, fill="─") == "ab───"
    assert padded(WIDE, 3) == WIDE


WORDS = st.text("ab.-", min_size=1, max_size=9)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(WORDS), st.integers(16, 40), st.sampled_from(["", "  ", "    "]), st.sampled_from([None, "", "      "]))
def test_ascii_is_filled_as_textwrap_does_it(words, columns, indent, hanging):
    rest = indent if hanging is None else hanging
    expected = textwrap.wrap(" ".join(words), columns, initial_indent=indent, subsequent_indent=rest,
                             break_on_hyphens=False)  # fmt: skip
    assert filled(" ".join(words), columns, indent, hanging) == expected


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text("a 漢🙂\n"), st.integers(4, 20), st.sampled_from(["", "  "]))
def test_filled_rows_fit_and_lose_nothing(text, columns, indent):
    rows = filled(text, columns, indent, "  ")
    assert all(columns_of(row) <= columns for row in rows)
    assert "".join("".join(rows).split()) == "".join(text.split())


def test_a_word_without_room_is_cut_below_what_stands_before_it():
    assert filled("a bcdefghij", 6, "- ", "  ") == ["- a", "  bcde", "  fghi", "  j"]
    assert filled("漢字漢", 4, "> ") == ["> 漢", "> 字", "> 漢"]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(paragraph(f"{WIDE} {WIDE} {WIDE}", 20, "", "  "), id="paragraph"),
        pytest.param(list(stacked_lines([Column("name"), Column("size")], [WIDE * 4, WIDE * 4], 20)), id="stacked"),
        pytest.param(list(definitions([(WIDE, f"{WIDE} " * 5)], 20)), id="definitions"),
        pytest.param([code_head("漢" * 30, 20)], id="code"),
    ],
)
def test_wide_characters_count_twice_wherever_lines_are_broken(rows):
    assert all(columns_of(STYLE.sub("", row)) <= 20 for row in rows)


def test_measurements_of_a_model_with_a_wide_name_stand_in_columns():
    row = {"limit": 1e9, "limit_unit": "bytes/s", "model_size": 1e6, "model_n_params": 1e6, "n_threads": 1,
           "test": "tg1", "avg_ts": 1.0, "stddev_ts": 0.0, "limit_share": 0.5}  # fmt: skip
    lines = as_table([{**row, "model_type": WIDE}, {**row, "model_type": "x"}]).split("\n")
    assert len({columns_of(line) for line in lines}) == 1


def test_the_size_is_that_of_the_terminal_that_is_written_to(monkeypatch):
    class Terminal(io.StringIO):
        def fileno(self):
            return 2

    sizes = {1: os.terminal_size((80, 24)), 2: os.terminal_size((40, 10))}
    monkeypatch.setattr(os, "get_terminal_size", lambda file=1: sizes[file])
    monkeypatch.delenv("COLUMNS", raising=False)
    assert terminal_size(Terminal()) == (40, 10)


def test_nothing_else_in_the_package_measures_text_or_terminals():
    package = Path(llamachat.__file__).parent
    other = re.compile(r"\b(?:textwrap|wcs?width\(|get_cwidth|cell_len|get_terminal_size)|\.(?:ljust|rjust|center)\(")
    found = [
        str(path.relative_to(package))
        for path in sorted(package.rglob("*.py"))
        if path.name != "columns.py" and other.search(path.read_text("utf-8"))
    ]
    assert found == []
