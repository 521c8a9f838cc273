import io

import pytest

from llamachat.terminal.bars import work_bars


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_pipe_sees_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with work_bars() as report:
        report(1, 2, "downloading x")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("columns", [40, 200])
def test_a_terminal_sees_the_step_and_its_share_in_one_line(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    for name, value in {"COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    with work_bars() as report:
        report(50_000_000, 100_000_000, "downloading [x]\x1b]0;title\x07")
        report(100_000_000, 100_000_000, "downloading [x]\x1b]0;title\x07")
    last = terminal.getvalue().replace("\r", "\n").rsplit("100%", 1)[0].splitlines()[-1]
    assert last.removeprefix("\x1b[2K").startswith("downloading [x] ")
    assert len(last.removeprefix("\x1b[2K")) < columns
    assert ("MB" in terminal.getvalue()) is (columns == 200)


def test_an_unknown_size_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with work_bars() as report:
        report(1, None, "downloading x")
    assert "downloading x" in terminal.getvalue()


def test_tokens_are_counted_as_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    for name, value in {"COLUMNS": "100", "TERM": "xterm", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    with work_bars("tokens") as report:
        report(512, 2048, "measuring")
        report(2048, 2048, "measuring")
    assert "2048/2048" in terminal.getvalue()
    assert "MB" not in terminal.getvalue()


def test_a_long_step_is_cut_and_not_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    for name, value in {"COLUMNS": "40", "TERM": "xterm", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(name, value)
    with work_bars() as report:
        report(1, 2, "quantising a model of a very long name, too long for any line")
    drawn = terminal.getvalue().rsplit("\n", 1)[0].splitlines()[-1]
    assert drawn.count("…") == 1
    assert "50%" in drawn
