"""What layers with a sliding window keep: a ring of cells, and which of a sequence's tokens are still in it.

A token at position p sees, in such a layer, the keys of the last `window` positions. So it is enough to keep these, the
tokens of a batch, which are stored before the first of them looks back, and MARGIN more to go back by: a token's cell
is its position modulo the size of the ring. All such layers of a model have rings of one size, that of the longest
window.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from llamachat.engine.state.spec import KeyValueSpec, StateSpec

MARGIN: Final = 1024
"""Tokens that a sequence can go back by, at least: the message and the answer of one turn, for /undo and /regen."""


@dataclass(frozen=True)
class Ring:
    """window: the longest one, in tokens; n_cells: how many of the last tokens are kept, of the whole sequence."""

    window: int
    n_cells: int


def ring_of(states: Iterable[StateSpec], batch: int, unit: int) -> Ring | None:
    """The ring of a model's layers with a window, a multiple of `unit` cells; None where all layers see everything."""
    windows = [state.window for state in states if isinstance(state, KeyValueSpec) and state.window]
    if not windows:
        return None
    return Ring(max(windows), -(-(max(windows) + batch + MARGIN) // unit) * unit)


class Kept:
    """Which cells of a sequence's ring hold what they did: all but those of its first `n_lost` tokens.

    ring: None where every layer keeps all tokens; then every answer is yes.
    """

    def __init__(self, ring: Ring | None) -> None:
        self._ring = ring
        self.n_lost = 0

    def write(self, n_tokens: int) -> None:
        """The cells of the first n_tokens have been written, or may have been, in their order."""
        if self._ring is not None:
            self.n_lost = max(self.n_lost, n_tokens - self._ring.n_cells)

    def has(self, n_past: int) -> bool:
        """Whether the token that follows n_past others finds all that it sees."""
        return not self._lacks(self.n_lost, n_past)

    def truncate(self, n_past: int) -> None:
        """Tokens from n_past on are forgotten: at the beginning nothing is lost any more."""
        if not n_past:
            self.n_lost = 0

    def n_ahead(self, n_past: int, most: int) -> int:
        """How many tokens, `most` or fewer, may follow n_past others and be forgotten again."""
        return most if self._ring is None else min(most, self._ring.n_cells - min(n_past, self._ring.window - 1))

    def after_removal(self, first: int, last: int, n_past: int) -> int | None:
        """n_lost once the tokens first .. last - 1 of n_past are taken out; None where what is then seen is not kept.

        Tokens before `first` stay where they are, those from `last` on move down, as far as they are there.
        """
        n_lost = min(self.n_lost, max(first, self.n_lost - (last - first)))
        n_left = n_past - (last - first)
        if not n_left:
            return 0
        return None if self._lacks(n_lost, n_left) else n_lost

    def of_restored(self, n_past: int, n_lost: int | None) -> int:
        """n_lost of n_past tokens that come from elsewhere; where nobody knows, only what the next token sees is sure.

        Numbers from a file are not believed where they cannot be.
        """
        if self._ring is None:
            return 0
        least, most = max(0, n_past - self._ring.n_cells), max(0, n_past - self._ring.window + 1)
        return most if n_lost is None else min(max(n_lost, least), most)

    def _lacks(self, n_lost: int, n_past: int) -> bool:
        return self._ring is not None and bool(n_past) and n_lost > max(0, n_past - self._ring.window + 1)
