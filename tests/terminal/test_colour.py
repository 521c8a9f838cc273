"""Who decides whether there is colour."""

import pytest

from llamachat.terminal.colour import choose_colour, wants_colour


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("NO_COLOR", "CLICOLOR_FORCE", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    yield
    choose_colour("auto")


@pytest.mark.parametrize(
    ("environment", "on_a_terminal", "in_a_pipe"),
    [
        pytest.param({}, True, False, id="nothing said"),
        pytest.param({"NO_COLOR": "1"}, False, False, id="NO_COLOR"),
        pytest.param({"NO_COLOR": ""}, True, False, id="an empty NO_COLOR says nothing"),
        pytest.param({"TERM": "dumb"}, False, False, id="dumb"),
        pytest.param({"TERM": ""}, False, False, id="no TERM"),
        pytest.param({"TERM": "unknown"}, False, False, id="unknown TERM"),
        pytest.param({"CLICOLOR_FORCE": "1"}, True, True, id="CLICOLOR_FORCE"),
        pytest.param({"CLICOLOR_FORCE": "0"}, True, False, id="CLICOLOR_FORCE=0 says nothing"),
        pytest.param({"FORCE_COLOR": "1", "TERM": "dumb"}, True, True, id="FORCE_COLOR on a dumb terminal"),
        pytest.param({"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, False, False, id="NO_COLOR beats CLICOLOR_FORCE"),
    ],
)
def test_the_environment_decides_where_the_command_line_does_not(monkeypatch, environment, on_a_terminal, in_a_pipe):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert (wants_colour(True), wants_colour(False)) == (on_a_terminal, in_a_pipe)


def test_the_command_line_beats_the_environment(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    choose_colour("always")
    assert wants_colour(False)
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("CLICOLOR_FORCE", "1")
    choose_colour("never")
    assert not wants_colour(True)
