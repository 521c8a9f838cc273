"""A person at a real terminal that answers nothing: keys go in, a screen comes out."""

import json
import os
import re
import signal
import sys
import termios
import time
from pathlib import Path

import pexpect
import pyte

DRIVER = str(Path(__file__).with_name("input_driver.py"))
PATIENCE_S = 15
ENTER, ALT_ENTER, CTRL_C, CTRL_D, ESC = "\r", "\x1b\r", "\x03", "\x04", "\x1b"
PASTE = "\x1b[200~{}\x1b[201~"


class _Screen(pyte.HistoryScreen):
    """A screen that keeps what scrolls away, and takes what newer terminals know."""

    def __init__(self, columns, rows):
        super().__init__(columns, rows, history=5000, ratio=1)

    def select_graphic_rendition(self, *attrs, **_private):
        super().select_graphic_rendition(*(attr for attr in attrs if attr != 2))  # dim


class Person:
    """Runs a command on a terminal and reads its screen."""

    def __init__(self, command, environment, columns=80, rows=24):
        self.screen = _Screen(columns, rows)
        self.raw = ""
        self.left = None  # the terminal's modes after the program
        self._stream = pyte.Stream(self.screen)
        self.child = pexpect.spawn(
            command[0], command[1:], env=environment, dimensions=(rows, columns), timeout=PATIENCE_S,
            encoding="utf-8", codec_errors="replace",
        )  # fmt: skip
        self.child.delaybeforesend = None

    def type(self, keys):
        """Writes keys at once, as a paste or a fast hand does."""
        self.child.send(keys)

    def press(self, *keys):
        """Keys one after the other, each only when the one before has been seen: what is shown has settled."""
        for key in keys:
            self.type(key)
            self.settle()

    def settle(self):
        """Reads until nothing comes for a moment."""
        quiet = time.monotonic()
        while time.monotonic() - quiet < 0.15:
            if self._read(0.03):
                quiet = time.monotonic()

    def until(self, shown):
        """Waits until the screen says so: a text, or a function of the screen's lines."""
        end = time.monotonic() + PATIENCE_S
        over = False
        while not (shown(self.lines) if callable(shown) else shown in self.text):
            assert not over, f"{shown!r} did not appear:\n{self.text}"
            over = time.monotonic() > end or not (self._read(0.1) or self.child.isalive())

    @property
    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self):
        return "\n".join(self.lines)

    @property
    def scrolled(self):
        """The lines that have left the screen at its top."""
        texts = ("".join(line[column].data for column in range(max([*line, -1]) + 1))
                 for line in self.screen.history.top)  # fmt: skip
        return [text.rstrip() for text in texts]

    @property
    def got(self):
        """The messages so far."""
        return [json.loads(found) for found in re.findall(r"GOT (\".*?\") \w*\r?\n", self.raw)]

    @property
    def literal(self):
        """Of each message whether it is one whatever it begins with."""
        return [bool(found) for found in re.findall(r"GOT \".*?\" (\w*)\r?\n", self.raw)]

    def message(self):
        """The next message."""
        before = len(self.got)
        self.until(lambda _lines: len(self.got) > before)
        return self.got[-1]

    def resize(self, columns, rows):
        self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    def end(self):
        """The exit code of a program that ends by itself, or minus its signal."""
        while self.child.isalive() or self._read(0):
            self._read(0.05)
        self.left = self.modes
        self.child.close()
        return self.child.exitstatus if self.child.signalstatus is None else -self.child.signalstatus

    def dismiss(self):
        """Ends the program, whatever it does, however busy the machine is."""
        if self.child.isalive():
            self.child.kill(signal.SIGKILL)
            self.child.wait()
        self.child.close()

    @property
    def modes(self):
        """Whether the terminal echoes, edits lines and makes newlines of Enter."""
        modes = termios.tcgetattr(self.child.child_fd)
        return bool(modes[3] & termios.ECHO), bool(modes[3] & termios.ICANON), bool(modes[0] & termios.ICRNL)

    def _read(self, timeout):
        try:
            text = self.child.read_nonblocking(65536, timeout)
        except (pexpect.TIMEOUT, pexpect.EOF):
            return False
        self._stream.feed(text)
        self.raw += text
        return True


def environment(folder, **more):
    """Of a process with no opinion on colours and width."""
    unwanted = ("NO_COLOR", "COLUMNS", "TERM", "VISUAL", "EDITOR")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {**kept, "HOME": str(folder), "TERM": "xterm-256color", **more}


def driver(folder, *how, columns=80, rows=24, **more):
    """A person at the input line of `input_driver.py`."""
    own = {name: value for name, value in environment(folder, **more).items() if value is not None}
    return Person([sys.executable, DRIVER, str(folder), *how], own, columns, rows)
