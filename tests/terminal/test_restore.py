"""However a program ends, the terminal it leaves echoes, has its cursor, and takes no pastes for keys."""

import signal

import pytest
from typing_at import ENTER, PATIENCE_S, driver

COOKED = (True, True, True)


@pytest.fixture
def person(tmp_path):
    script = tmp_path / "editor"
    script.write_text(f"#!/bin/sh\nstty raw -echo\ntouch {tmp_path}/open\nexec sleep {PATIENCE_S}\n")
    script.chmod(0o755)
    person = driver(tmp_path, EDITOR=str(script))
    person.until("of 4096")
    person.settle()
    yield person
    person.child.close(force=True)


def left_well(person):
    """The terminal is as it was; nothing was said about the program's inside."""
    assert person.raw.rindex("\x1b[?2004l") > person.raw.rindex("\x1b[?2004h")
    assert person.raw.rindex("\x1b[?25h") > person.raw.rindex("\x1b[?25l")
    assert "Traceback" not in person.raw
    assert "exception" not in person.raw.lower()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("doing", ["typing", "completing", "searching", "editing", "speaking"])
def test_a_signal_ends_with_its_code_and_leaves_the_terminal_well(person, tmp_path, doing, number):
    keys = {"typing": ["half"], "completing": ["/"], "searching": ["\x12", "x"], "speaking": ["speak", ENTER]}
    person.press(*keys.get(doing, ()))
    if doing == "editing":
        person.type("\x18\x05")
        person.until(lambda _lines: (tmp_path / "open").exists())
    if doing == "speaking":
        person.until("SPEAKING")
    assert person.modes != COOKED
    person.child.kill(number)
    person.until(lambda _lines: person.modes == COOKED)
    assert person.end() == 128 + number
    left_well(person)


def test_a_second_signal_does_not_disturb_the_first(person):
    person.press("half")
    person.child.kill(signal.SIGTERM)
    person.child.kill(signal.SIGHUP)
    assert person.end() in (128 + signal.SIGTERM, 128 + signal.SIGHUP)
    left_well(person)


def test_an_error_leaves_a_cursor_and_no_bracketed_paste(person):
    person.press("crash", ENTER)
    assert person.end() == 1
    assert person.raw.rindex("\x1b[?2004l") > person.raw.rindex("\x1b[?2004h")
    assert person.raw.rindex("\x1b[?25h") > person.raw.rindex("\x1b[?25l")


def test_a_terminal_that_goes_away_ends_the_program(person):
    person.press("half")
    person.child.close(force=False)
    assert person.child.exitstatus in (0, 128 + signal.SIGHUP)
