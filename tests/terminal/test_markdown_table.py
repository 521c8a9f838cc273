"""Tables of answers: whatever stands in them is on the screen, at any width."""

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from screens import DRAWINGS, Terminal

from llamachat.engine.events import Event
from llamachat.terminal.columns import columns_of
from llamachat.terminal.markdown import markdown_lines
from llamachat.terminal.view import MarkdownView

MANY = int(os.environ.get("LLAMACHAT_TABLES", "150"))
"""Random tables; more of them where somebody has the time."""

WORDS = st.sampled_from(
    [
        *("name", "a", "42", "1,000.5", "supercalifragilistic" * 4, "https://e.com/long/address?x=1&y=2"),
        *("漢字", "とても長い日本語の文章です。", "한국어", "🙂", "👨‍👩‍👧", "🇩🇪", "e\u0301a\u0308", "नमस्ते", "ก็ที่", "❤️"),
        *("**bold**", "*it*", "~~no~~", "`co de`", "[l](http://u.v/w)", "$x_i^2$", "a<br>b", "&amp;", "(x)", "‘q’"),
    ]
)  # fmt: skip
CELL = st.lists(WORDS, max_size=5).map(" ".join)
TABLE = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.lists(CELL, min_size=n, max_size=n),
        st.lists(st.sampled_from(["---", ":--", "--:", ":-:"]), min_size=n, max_size=n),
        st.lists(st.lists(CELL, min_size=1, max_size=n + 2), max_size=5),
        st.sampled_from(["", "", "> ", "- ", "1. > "]),
    )
)


def drawn(text, columns):
    return [re.sub(DRAWINGS, "", line) for line in markdown_lines(text, columns)]


def letters(text):
    """What must be there of a text, in no order: all but the notation and what tables draw."""
    text = re.sub(r"<br>", "", text).replace("&amp;", "&")
    return sorted(re.sub(r"[\s*`~|:─▌•\[\]()-]", "", text))


@settings(max_examples=MANY, deadline=None, derandomize=MANY == 150)
@given(TABLE, st.integers(10, 200))
def test_no_table_loses_a_character_at_any_width(table, columns):
    titles, sides, rows, before = table
    lines = [" | ".join(one) for one in (titles, sides, *rows)]
    under = "> " if before == "> " else " " * (len(before) - 2) + "> " if ">" in before else " " * len(before)
    text = "\n".join((before if n == 0 else under) + f"| {line} |" for n, line in enumerate(lines))
    shown = "".join(drawn(text, columns))
    wanted = letters("".join(titles) + "".join("".join(row) for row in rows))
    if not rows or all(not "".join(row).strip() for row in rows):
        assert set(wanted) <= set(letters(shown))
        return
    missing = [letter for letter in set(wanted) if letters(shown).count(letter) < wanted.count(letter)]
    assert not missing, (missing, text, columns)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(TABLE, st.integers(20, 120))
def test_a_table_is_no_wider_than_the_screen_but_for_addresses(table, columns):
    titles, sides, rows, _ = table
    text = (
        "\n".join(f"| {' | '.join(line)} |" for line in (titles, sides, *rows))
        .replace("https://", "")
        .replace("](", "] (")
    )
    for line in drawn(text, columns):
        assert columns_of(line) <= columns, (line, text)


def test_a_table_that_nearly_fits_breaks_its_cells():
    lines = drawn("| a | text |\n|---|--:|\n| one | several words of some length |\n| two | x |\n", 24)
    assert lines == [
        "a                   text",
        "───  ───────────────────",
        "one     several words of",
        "             some length",
        "",
        "two                    x",
    ]


def test_titles_stay_in_one_row_where_there_is_room_for_that():
    lines = drawn(
        "| H0 name | H1 name | H2 name |\n|---|---|---|\n| abcdefghijklmnopqrstuvwx | word 42 yes word | a |", 50
    )
    assert lines[0].split("  ")[0] == "H0 name"
    assert lines[0].endswith("H2 name")


def test_a_table_without_room_for_its_words_is_a_list():
    lines = drawn("| name | note |\n|---|---|\n| abcdefghijklmnop | qrstuvwxyzabcdef |\n| x | |\n", 20)
    assert lines == ["name: ", "abcdefghijklmnop", "note: ", "qrstuvwxyzabcdef", "", "name: x", "note:"] or lines == [
        "name:", "abcdefghijklmnop", "note:", "qrstuvwxyzabcdef", "", "name: x", "note:",
    ]  # fmt: skip


def test_an_address_in_a_table_stays_in_one_piece():
    address = "https://example.com/" + "a" * 60
    lines = drawn(f"| what | where |\n|---|---|\n| page | {address} |\n", 40)
    assert any(address in line for line in lines)


@pytest.mark.parametrize("columns", [20, 50, 120])
@pytest.mark.parametrize("before", ["", "- ", "> "])
def test_a_row_with_more_cells_than_titles_is_whole(before, columns):
    under = "> " if before == "> " else " " * len(before)
    lines = [f"{before}| a | b |", f"{under}|---|---|", f"{under}| 1 | 2 | three |"]
    assert "three" in " ".join(drawn("\n".join(lines), columns))


def test_a_formula_in_a_table_keeps_the_backslashes_before_bars():
    assert r"$\|x\|$" in " ".join(drawn("| norm |\n|---|\n| $\\|x\\|$ |\n| `a \\| b` |\n", 60))


@pytest.mark.parametrize("columns", [12, 50, 51, 80])
def test_what_is_drawn_while_a_table_grows_ends_as_all_of_it(columns):
    text = "".join(f"| key{n} | a longer value {n} | 漢字{n} |\n" for n in range(8))
    terminal = Terminal(columns, 8)
    view = MarkdownView(terminal.screen)
    for at in range(0, len(text) + 39, 9):
        view.event(Event(f"| key | value | 字 |\n|---|---|--:|\n{text}"[at : at + 9]))
    view.close()
    shown = "".join("".join(terminal.lines).split())
    for n in range(8):
        assert f"key{n}" in shown
        assert f"漢字{n}" in shown
