"""Copies of recurrent state at places of a sequence that it can go back to."""

from __future__ import annotations

import numpy as np

MOST_CHECKPOINTS = 8
MOST_BYTES = 1 << 30


def how_many(n_bytes: int) -> int:
    """Checkpoints of so many bytes that a sequence keeps, at least two; where another one comes, the oldest goes."""
    return max(2, min(MOST_CHECKPOINTS, MOST_BYTES // max(1, n_bytes)))


class Checkpoints:
    """{tokens evaluated: the recurrent states after them}. The beginning needs no copy: there all is zero."""

    def __init__(self) -> None:
        self._kept: dict[int, np.ndarray] = {}
        self._passing = 0

    def add(self, n_past: int, states: np.ndarray, passing: bool = False) -> None:
        """Keeps a copy of the states, uint8 [n_bytes], after n_past tokens.

        passing: it takes the place of the last one that was, and of no other.
        """
        if passing:
            self._kept.pop(self._passing, None)
            self._passing = 0
        if not n_past or n_past in self._kept:
            return
        if passing:
            self._passing = n_past
        lasting = [place for place in self._kept if place != self._passing]
        if not passing and len(lasting) >= how_many(states.nbytes):
            del self._kept[min(lasting)]
        self._kept[n_past] = states.copy()

    def before(self, n_past: int) -> int:
        """The last place, n_past or earlier, that is kept."""
        return max((place for place in self._kept if place <= n_past), default=0)

    def back_to(self, n_past: int) -> np.ndarray | None:
        """The states that are kept of a place, uint8 [n_bytes], None for the beginning; forgets the places after it."""
        states = self._kept[n_past] if n_past else None
        self._kept = {place: kept for place, kept in self._kept.items() if place <= n_past}
        return states

    def copy(self, other: Checkpoints) -> None:
        """Takes over those of another sequence; copies are never written to, so that both may share them."""
        self._kept, self._passing = dict(other._kept), other._passing
