"""Names and their meanings in any number of columns."""

import pytest

from llamachat.terminal.columns import columns_of, set_out

LINE = "/undo [N]      take back the last turn, or N of them"


def test_what_fits_stays_as_it_is():
    assert set_out(f"{LINE}\n\nplain words", 80) == [LINE, "", "plain words"]


def test_a_meaning_goes_on_below_itself():
    assert set_out(LINE, 44) == ["/undo [N]      take back the last turn, or N", "               of them"]


def test_where_names_take_half_the_line_meanings_stand_below_them():
    assert set_out(LINE, 28) == ["/undo [N]", "    take back the last turn,", "    or N of them"]


@pytest.mark.parametrize("columns", [2, 5, 12, 40])
def test_no_row_is_too_wide_and_no_word_is_lost(columns):
    text = "名前        とても長い説明 and words\na line without a gap that goes on"
    rows = set_out(text, columns)
    assert all(columns_of(row) <= columns or (row.strip().isascii() and " " not in row.strip()) for row in rows)
    assert "".join("".join(rows).split()) == "".join(text.split())


def test_a_path_stays_in_one_piece():
    path = "/a/long/path/of/a/file.json"
    assert set_out(f"It is kept in {path} now", 20) == ["It is kept in", path, "now"]


def test_a_line_that_is_set_in_goes_on_below_its_meaning():
    assert set_out("    3  'a'  1:'a' 90%  2:'b' 10%", 24) == ["    3  'a'  1:'a' 90%", "       2:'b' 10%"]
