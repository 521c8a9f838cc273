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


def test_what_does_not_last_is_not_in_the_file(path):
    InputHistory(path).append("one")
    history = InputHistory(path, lasting=False)
    history.append("secret")
    assert history.load() == ["one"]
    assert "secret" not in path.read_text("utf-8")


def test_what_is_forgotten_is_gone_from_the_file(path):
    for text in ("one", "a secret", "two"):
        InputHistory(path).append(text)
    with path.open("a") as file:
        file.write("no JSON\n")
    InputHistory(path).forget(lambda text: "secret" in text)
    assert InputHistory(path).load() == ["one", "two"]
    assert "secret" not in path.read_text("utf-8")
    assert "no JSON" in path.read_text("utf-8")
    assert path.stat().st_mode & 0o777 == 0o600
    InputHistory(path.with_name("nothing")).forget(lambda _text: True)
