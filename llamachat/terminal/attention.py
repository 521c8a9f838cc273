"""Bells and notifications after long answers, and the window's title."""

import base64
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Literal

from llamachat.terminal.output import write
from llamachat.terminal.sanitize import clean_line

Notify = Literal["off", "bell", "desktop"]

LONGEST = 80
"""Characters of a title."""

BELL = "\x07"
_PUSHED, _POPPED = "\x1b[22;0t", "\x1b[23;0t"
"""The terminal keeps its title, and takes it back (XTWINOPS of xterm)."""

_TITLED = (
    "xterm",
    "rxvt",
    "tmux",
    "foot",
    "alacritty",
    "wezterm",
    "ghostty",
    "konsole",
    "vte",
    "contour",
    "st-",
)
"""Beginnings of TERM where a title is a title; elsewhere nothing is sent."""


def is_titled() -> bool:
    """Whether standard output is a terminal whose title can be set and put back."""
    return can_notify() and os.environ.get("TERM", "").startswith(_TITLED)


@contextmanager
def titled(title: str) -> Iterator[None]:
    """The terminal has this title while the block runs, and then the one from before."""
    if not is_titled():
        yield
        return
    try:
        write(f"{_PUSHED}\x1b]2;{clean_line(title)[:LONGEST]}{BELL}")
        yield
    finally:
        with suppress(OSError):  # the terminal may be gone
            write(_POPPED)


@dataclass(frozen=True)
class Attention:
    """How a person is notified when something took at least `after_s` seconds."""

    notify: Notify = "off"
    after_s: float = 20.0
    clock: Callable[[], float] = time.monotonic

    @contextmanager
    def after(self, what: Callable[[], str]) -> Iterator[None]:
        """Around work that may take long. what: the text of the notification; "" for none."""
        begun = self.clock()
        yield
        if self.notify == "off" or self.clock() - begun < self.after_s or not can_notify():
            return
        if text := clean_line(what()):
            write(notification(text) if self.notify == "desktop" else BELL)


def notification(text: str) -> str:
    """The sequence that shows a text on the desktop, as this terminal takes it; the bell where none is known."""
    there = os.environ
    term = there.get("TERM", "")
    if "TMUX" in there or "STY" in there:
        return BELL
    if term == "xterm-kitty":
        return f"\x1b]99;i=llamachat:e=1;{base64.b64encode(text.encode()).decode()}\x1b\\"
    if there.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm", "ghostty") or term == "xterm-ghostty":
        return f"\x1b]9;{text}{BELL}"
    if term.startswith(("foot", "rxvt")) or "VTE_VERSION" in there or there.get("TERM_PROGRAM") == "WarpTerminal":
        return f"\x1b]777;notify;llamachat;{text.replace(';', ',')}\x1b\\"
    return BELL


def can_notify() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()
