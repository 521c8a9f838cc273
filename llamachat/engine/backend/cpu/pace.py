"""How many threads work on the next list of launches, where other programs want the processors, too.

All threads meet at barriers: one that has lost its processor to another program holds up all of them, and a list of
many short launches then takes several times as long. One thread less, and that program has a processor of its own. The
results are equal to the bit for any number of threads, so that it can change from one list to the next.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field

WINDOW_S, WINDOW_RUNS = 0.05, 3
"""Lists are compared over so long, and so many of them at least."""
LOST = 0.75
"""The calling thread's processor time as a share of what passed: with less, threads wait for one another."""
GAIN = 0.93
"""A smaller number of threads is kept where lists take at most this share of the time."""
PAUSE_S, LONGEST_PAUSE_S = 0.5, 4.0
"""Between two trials of a smaller number, each of which takes away twice as many; doubled after all were in vain."""
RETURN_S, LONGEST_RETURN_S = 0.2, 3.2
"""After so long more threads are tried: all, or one more, in turns; doubled after each in vain."""


@dataclass
class _Window:
    """What was run lately: seconds of each list, and of the calling thread."""

    walls: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    wall: float = 0.0
    processor: float = 0.0
    runs: int = 0

    def add(self, program: int, wall: float, processor: float) -> None:
        """One more run."""
        self.walls[program].append(wall)
        self.wall += wall
        self.processor += processor
        self.runs += 1

    @property
    def full(self) -> bool:
        """Whether it says enough."""
        return self.wall >= WINDOW_S and self.runs >= WINDOW_RUNS

    def against(self, other: _Window) -> float | None:
        """The time that lists of both took, as a multiple of what they took in the other one; None without any."""
        both = self.walls.keys() & other.walls.keys()
        mine, others = (sum(sum(w.walls[p]) / len(w.walls[p]) for p in both) for w in (self, other))
        return mine / others if both else None


class Pace:
    """`threads`, of `most`, is how many shall work on the next list; `ran` reports how it went."""

    def __init__(self, most: int) -> None:
        self.most = self.threads = most
        self._window = _Window()
        self._trial: tuple[int, _Window] | None = None  # the number before, and how it went with that
        self._pause, self._fewer_at, self._more_at = PAUSE_S, 0.0, 0.0
        self._return, self._less, self._all_next, self._lost = RETURN_S, 1, True, False

    def ran(self, program: int, wall: float, processor: float, now: float | None = None) -> None:
        """A list took so many seconds, and so much processor time of the calling thread."""
        self._window.add(program, wall, processor)
        if self._window.full:
            window, self._window = self._window, _Window()
            self._judge(window, time.perf_counter() if now is None else now)

    def _judge(self, window: _Window, now: float) -> None:
        lost_before, self._lost = self._lost, window.processor < LOST * window.wall
        if self._trial is not None:
            self._end_trial(window, now)
        elif self.threads > 1 and self._lost and lost_before and now >= self._fewer_at:
            self._try(max(1, self.threads - self._less), window)
        elif self.threads < self.most and now >= self._more_at:
            self._try(self.most if self._all_next else self.threads + 1, window)
            self._all_next = not self._all_next

    def _try(self, threads: int, window: _Window) -> None:
        self._trial, self.threads = (self.threads, window), threads

    def _end_trial(self, window: _Window, now: float) -> None:
        assert self._trial is not None
        (before, former), self._trial = self._trial, None
        fewer, ratio = self.threads < before, window.against(former)
        if ratio is None or ratio > (GAIN if fewer else 1.0):
            self.threads = before
            if fewer:
                self._in_vain(now)
            else:
                self._return = min(2 * self._return, LONGEST_RETURN_S)
        elif fewer:
            self._pause, self._less = PAUSE_S, 1
        else:
            self._return = RETURN_S
        self._more_at = now + self._return

    def _in_vain(self, now: float) -> None:
        self._less *= 2
        if self._less >= self.threads:
            self._less = 1
            self._fewer_at, self._pause = now + self._pause, min(2 * self._pause, LONGEST_PAUSE_S)
