import os

import pytest

from llamachat.terminal import table
from llamachat.terminal.columns import columns_of
from llamachat.terminal.table import Column, print_table

COLUMNS = (Column("name"), Column("size", right=True), Column("note"))
ROWS = [["alpha", "9.1 MB", ""], ["a-model-with-a-long-name", "120 MB", ""]]


def _as_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(table, "output_width", lambda: width)


def test_a_pipe_gets_one_plain_line_per_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS)
    assert capsys.readouterr().out == (
        "NAME                        SIZE\n"
        "alpha                     9.1 MB\n"
        "a-model-with-a-long-name  120 MB\n"
    )  # fmt: skip


def test_a_column_without_any_cell_is_left_out_and_one_with_a_cell_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [["a", "1 B", ""], ["b", "2 B", "broken"]])
    assert "NOTE" in capsys.readouterr().out


@pytest.mark.parametrize("width", [20, 40, 79])
def test_no_line_is_wider_than_the_terminal(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_terminal(monkeypatch, width)
    print_table(COLUMNS, [*ROWS, ["x", "1 B", "a reason that needs quite a few words to be told in full, really"]])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width


def test_a_narrow_terminal_gets_a_short_paragraph_per_row(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_terminal(monkeypatch, 24)
    print_table(COLUMNS, ROWS)
    assert capsys.readouterr().out.splitlines() == [
        "alpha", "  size 9.1 MB", "a-model-with-a-long-name", "  size 120 MB",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        pytest.param({"TERM": "xterm"}, True, id="a terminal"),
        pytest.param({"TERM": "xterm", "NO_COLOR": "1"}, False, id="NO_COLOR"),
        pytest.param({"TERM": "dumb"}, False, id="a dumb terminal"),
    ],
)
def test_colour_is_only_where_it_is_welcome(
    variables: dict[str, str],
    coloured: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _as_terminal(monkeypatch, 200)
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setitem(os.environ, name, value)
    print_table(COLUMNS, ROWS)
    assert ("\x1b[" in capsys.readouterr().out) is coloured


def test_cells_lose_their_control_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [["a\x1b[2Jb\nc", "1 B", ""]])
    assert capsys.readouterr().out.splitlines()[1] == "ab c   1 B"


def test_a_wide_character_counts_as_two_columns() -> None:
    assert columns_of("模型") == 4


def test_without_a_standard_output_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", None)
    print_table(COLUMNS, ROWS)
