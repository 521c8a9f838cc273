"""Ctrl+Z gives the terminal back as it was, whatever the program does; after `fg` it does that again."""

import json
import sys
from pathlib import Path

import pytest
from talking_at import BUSY, COOKED, READY, SCRIPTED, Talker
from typing_at import CTRL_C, CTRL_D, ENTER, environment

SHELL = str(Path(__file__).with_name("job_shell.py"))
CTRL_Z, STUCK = "\x1a", "\0"


class Job(Talker):
    """A person before a chat that is a job of a shell."""

    def __init__(self, folder, answers, *arguments, **more):
        self.told = folder / "stops"
        own = environment(folder, SCRIPTED_ANSWERS=json.dumps(answers), **more)
        super().__init__([sys.executable, SHELL, str(self.told), sys.executable, SCRIPTED, "chat", *arguments], own)
        self.ready()

    @property
    def stops(self):
        return [tuple(json.loads(line)) for line in self.told.read_text().splitlines()] if self.told.exists() else []

    def stop(self, keys=CTRL_Z):
        """Stops the job; the modes of the terminal that the shell finds."""
        before = len(self.stops)
        self.type(keys)
        self.until(lambda _lines: len(self.stops) > before)
        self.settle()
        return self.stops[-1]

    def fg(self):
        self.told.with_suffix(".go").touch()


@pytest.fixture
def job(own_home):
    jobs = []

    def start(*answers, arguments=(), **more):
        jobs.append(Job(own_home, answers, *arguments, **more))
        return jobs[-1]

    yield start
    for one in jobs:
        one.dismiss()


def leaves_well(person):
    person.type(CTRL_D)
    assert person.end() == 0
    assert person.is_left_well


def test_while_a_line_is_typed(job):
    person = job("Yes.")
    person.press("half a thought")
    assert person.stop() == COOKED
    assert person.raw.rfind(BUSY) > person.raw.rfind(READY)
    person.fg()
    person.ready()
    assert "half a thought" in person.typed
    person.press(ENTER)
    person.until("Yes.")
    person.ready()
    leaves_well(person)


@pytest.mark.parametrize("answer", [STUCK, f"Some words{STUCK}"], ids=["reading", "answering"])
def test_while_the_model_reads_or_speaks(job, answer):
    person = job(answer, "Later.")
    person.send("Hello")
    person.until("reading" if answer == STUCK else "Some words")
    unseen = person.modes
    assert unseen != COOKED
    assert person.stop() == COOKED
    person.fg()
    person.until(lambda _lines: person.modes == unseen)
    person.press("typed ahead")
    assert "typed ahead" not in person.text
    person.type(CTRL_C)
    person.ready()
    assert "typed ahead" not in person.typed or person.typed.endswith("typed ahead")
    person.press("\x15")
    leaves_well(person)


def test_several_times(job):
    person = job(f"Some words{STUCK}")
    person.send("Hello")
    person.until("Some words")
    for _ in range(3):
        unseen = person.modes
        assert person.stop() == COOKED
        person.fg()
        person.until(lambda _lines, unseen=unseen: person.modes == unseen)
    person.type(CTRL_C)
    person.ready()
    leaves_well(person)


@pytest.mark.parametrize("raw", [False, True], ids=["lines", "raw"])
@pytest.mark.parametrize("way", ["command", "key"])
def test_within_the_editor(job, tmp_path, raw, way):
    editor = tmp_path / "editor"
    modes = "stty raw -echo isig" if raw else ":"
    editor.write_text(
        f'#!/bin/sh\n{modes}\ntouch {tmp_path}/open\nwhile [ ! -e {tmp_path}/done ]; do sleep 0.05; done\n'
        'stty sane\necho more >> "$1"\n'
    )  # fmt: skip
    editor.chmod(0o755)
    person = job("One.", "Two.", EDITOR=str(editor))
    person.ask("first")
    if way == "command":
        person.type(f"/edit{ENTER}")
    else:
        person.press("second")
        person.type("\x18\x05")
    person.until(lambda _lines: (tmp_path / "open").exists())
    assert person.stop() == COOKED
    person.fg()
    (tmp_path / "done").touch()
    if way == "command":
        person.until("Two.")
    else:
        person.until("more")
        person.press(ENTER)
        person.until("Two.")
    person.ready()
    leaves_well(person)
