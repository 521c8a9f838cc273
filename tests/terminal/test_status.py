"""The line that says what takes time."""

import io

import pytest

from llamachat.terminal import status as status_module
from llamachat.terminal.status import Status


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 2


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal()
    monkeypatch.setattr(status_module.os, "get_terminal_size", lambda _: status_module.os.terminal_size((20, 24)))
    monkeypatch.setenv("TERM", "xterm")
    return terminal


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(status_module.time, "monotonic", lambda: now[0])
    return now


def test_a_sentence_is_cut_to_the_terminal_and_goes_away(screen):
    with Status(screen).during("x" * 100):
        assert screen.getvalue() == "\r\x1b[K" + "x" * 19
    assert screen.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        pytest.param("模" * 20, "模" * 9, id="wide"),
        pytest.param("e\u0301" * 30, "e\u0301" * 19, id="marks"),
    ],
)
def test_a_sentence_is_cut_by_the_columns_that_it_takes(screen, sentence, shown):
    Status(screen).show(sentence)
    assert screen.getvalue() == f"\r\x1b[K{shown}"


def test_a_name_with_escape_sequences_is_shown_without_them(screen):
    Status(screen).show("a\x1b]0;evil\x07b\nc\udcff")
    assert screen.getvalue() == "\r\x1b[Kab c\ufffd"


def test_nothing_is_written_where_nobody_looks(screen, monkeypatch):
    monkeypatch.setattr(screen, "isatty", lambda: False)
    with Status(screen).during("loading"):
        pass
    assert screen.getvalue() == ""


def test_a_dumb_terminal_is_left_alone(screen, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    Status(screen).show("loading")
    assert screen.getvalue() == ""


def test_quick_work_shows_no_bar(screen, clock):
    status = Status(screen)
    for done in range(5):
        status.progress("reading", done, 4)
        clock[0] += 0.1
    assert screen.getvalue() == ""


def test_slow_work_shows_a_bar_as_soon_as_that_is_known(screen, clock):
    status = Status(screen)
    status.progress("reading", 0, 100)
    clock[0] += 0.5
    status.progress("reading", 10, 100)
    assert "reading [##" in screen.getvalue()
