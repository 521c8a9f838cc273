"""A person who talks with a model: the whole program, `llamachat chat`, on a terminal."""

import json
import sys
from pathlib import Path

from typing_at import ENTER, Person, environment

SCRIPTED = str(Path(__file__).parents[1] / "cli" / "scripted.py")
READY, BUSY = "\x1b[?2004h", "\x1b[?2004l"
"""The input line takes pastes as such, and no one else does."""

COOKED = (True, True, True)
"""The modes of a terminal that nobody has changed: echo, lines, newlines."""


class Talker(Person):
    """Types messages and waits until they are answered."""

    def ready(self):
        """Waits for the input line."""
        self.until(lambda _lines: self.raw.rfind(READY) > self.raw.rfind(BUSY))
        self.settle()

    def send(self, text):
        """Types a line and Enter, and waits until it has been taken."""
        n_taken = self.raw.count(BUSY)
        self.press(text)
        self.type(ENTER)
        self.until(lambda _lines: self.raw.count(BUSY) > n_taken)

    def ask(self, text):
        """Sends a line and waits for the next prompt. Returns what came meanwhile, as bytes of the terminal."""
        self.send(text)
        before = len(self.raw)
        self.ready()
        return self.raw[before : self.raw.rindex(READY)]

    @property
    def typed(self):
        """The line where the cursor is."""
        return self.lines[self.screen.cursor.y]

    @property
    def below(self):
        """The line below it: the status, where a line is read."""
        return self.lines[self.screen.cursor.y + 1]

    @property
    def shown(self):
        """All lines since the beginning, without empty ones at the end."""
        return [*self.scrolled, *self.text.rstrip().split("\n")]

    @property
    def is_left_well(self):
        """Whether the program, which has ended, left the terminal as it was and let nothing of its inside be seen."""
        return (
            self.left == COOKED
            and self.raw.rfind(BUSY) >= self.raw.rfind(READY)
            and self.raw.rfind("\x1b[?25h") >= self.raw.rfind("\x1b[?25l")
            and "Traceback" not in self.raw
        )


def talker(folder, *arguments, model=None, answers=None, columns=80, rows=24, **more):
    """A person before `llamachat chat`, with the model of this file, or one that says these answers."""
    own = environment(folder, SCRIPTED_ANSWERS=json.dumps(answers), **more)
    program = [SCRIPTED] if model is None else ["-m", "llamachat"]
    given = [] if model is None else ["-m", str(model), "--seed", "1", "--temp", "0"]
    command = [sys.executable, *program, "chat", *given, *arguments]
    return Talker(command, {name: value for name, value in own.items() if value is not None}, columns, rows)
