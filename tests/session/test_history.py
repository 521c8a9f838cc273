"""What a person has typed before."""

from pathlib import Path

import pytest

from llamachat.session.history import LIMIT, InputHistory, default_path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "history.jsonl"


def test_inputs_come_back_in_order_with_their_line_breaks(path):
    for text in ("one", "two\nlines", "é\u2028"):
        InputHistory(path).append(text)
    assert InputHistory(path).load() == ["one", "two\nlines", "é\u2028"]


def test_a_missing_history_is_empty(path):
    history = InputHistory(path)
    assert (history.load(), history.warning) == ([], None)


def test_a_torn_line_costs_only_itself(path):
    InputHistory(path).append("one")
    with path.open("a") as file:
        file.write('"half\n17\n')
    InputHistory(path).append("two")
    assert InputHistory(path).load() == ["one", "two"]


def test_a_history_that_cannot_be_written_is_a_warning(tmp_path):
    (tmp_path / "file").touch()
    history = InputHistory(tmp_path / "file" / "history")
    history.append("one")
    assert "not remembered" in history.warning


def test_a_long_history_is_cut_to_its_end(path):
    path.parent.mkdir()
    path.write_text("".join(f'"{n}"\n' for n in range(2 * LIMIT + 1)))
    assert InputHistory(path).load()[-1] == str(2 * LIMIT)
    assert len(path.read_text().splitlines()) == LIMIT
    assert path.stat().st_mode & 0o077 == 0


def test_the_history_lies_in_the_home_of_the_person(own_home):
    assert default_path().is_relative_to(own_home)
