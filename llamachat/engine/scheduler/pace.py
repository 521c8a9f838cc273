"""How much of a prompt is read between two steps of those that answer, so that they need not wait long."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from llamachat.engine.scheduler.job import Slot

LONGEST_WAIT_S: Final = 0.06
"""Others may wait this long for pieces of prompts, or as long as three of their own steps take, whichever is longer.

The bound that they are promised is 100 ms: a piece can take longer than those before it let expect.
"""
LARGEST_PIECE: Final = 512
SMALLEST_PIECE: Final = 4
FIRST_PIECE: Final = 64
"""Of a prompt: what its tokens cost there is not yet known (late tokens cost more)."""


class Pace:
    """Sizes of pieces. largest: at most that many tokens; None: a prompt is read at once, for there is only one."""

    def __init__(self, largest: int | None) -> None:
        self._largest = largest
        self._piece, self._piece_s = 0, 0.0  # the last one, of any prompt

    def allowance(self, slots: Sequence[Slot], step_s: float) -> float:
        """Seconds for prompts before the next step, which takes step_s; no bound where nobody waits for it."""
        if all(slot.reading for slot in slots):
            return math.inf
        return max(LONGEST_WAIT_S, 3 * step_s) - step_s

    def tokens(self, slot: Slot, left_s: float) -> int:
        """How many tokens of a prompt may be read in this many seconds, at least the smallest piece."""
        n_unread = slot.generation.n_unread
        if self._largest is None:
            return n_unread
        if left_s == math.inf:
            return min(n_unread, self._largest)
        piece, seconds, most = slot.piece, slot.piece_s, 2 * slot.piece
        if not piece:  # the first of its prompt
            piece, seconds, most = self._piece, self._piece_s, FIRST_PIECE
        wanted = int(piece * left_s / seconds) if seconds else FIRST_PIECE
        return min(n_unread, self._largest, max(SMALLEST_PIECE, min(wanted, most)))

    def took(self, slot: Slot, n_tokens: int, seconds: float) -> None:
        """A piece was read."""
        slot.piece, slot.piece_s = n_tokens, seconds
        self._piece, self._piece_s = n_tokens, seconds


def next_to_read(slots: Sequence[Slot], shortest: bool) -> Slot | None:
    """Of those that read: the one with the least left, or the one that came first; None where nobody reads.

    Taken by turns, short prompts need not wait for long ones, and long ones come to an end.
    """
    reading = [slot for slot in slots if slot.reading]
    if not reading:
        return None
    return min(reading, key=lambda one: one.generation.n_unread if shortest else one.job.number)
