"""What may be done with the state of one sequence: every operation on a context asks here, and may hear no.

A sequence can go back to fewer tokens, lose some from its middle, be kept in a file. Keys and values of all tokens
allow it all. Recurrent state goes back to its checkpoints only, and cannot lose tokens from its middle; layers with a
window go back as far as their rings reach (`windows`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from llamachat.engine.state.checkpoints import Checkpoints
from llamachat.engine.state.spec import StateSpec
from llamachat.engine.state.windows import Kept, Ring

if TYPE_CHECKING:
    import numpy as np

    from llamachat.engine.arrays import NDArray

MOST_LOST: Final = 64
"""Tokens that are evaluated again after a step that was stopped or failed, beside its own."""


class StateAnswers:
    """The answers of a sequence's states. checkpoints: of recurrent state; kept: which cells of its rings are there."""

    def __init__(self, states: Sequence[StateSpec], ring: Ring | None) -> None:
        self.checkpoints, self.kept = Checkpoints(), Kept(ring)
        self.needs_checkpoints = not all(state.can_truncate for state in states)
        self._refusal = next((state.shift_refusal for state in states if state.shift_refusal), "")

    def copy(self, other: StateAnswers) -> None:
        """Takes over what is known of another sequence's state."""
        self.checkpoints.copy(other.checkpoints)
        self.kept.n_lost = other.kept.n_lost

    def begin_step(self, n_now: int, n_tokens: int, states: Callable[[], NDArray[np.uint8]]) -> None:
        """A step evaluates n_tokens after n_now: the ring's cells may be written; one that fails loses recurrent state.

        states: uint8 [n_bytes], copied where that would lose more than MOST_LOST tokens.
        """
        self.kept.write(n_now + n_tokens)
        if self.needs_checkpoints and n_now - self.checkpoints.before(n_now) > MOST_LOST:
            self.checkpoints.add(n_now, states(), passing=True)

    @property
    def can_shift(self) -> bool:
        """Whether tokens can be taken out of the middle, as far as the model is asked."""
        return not self._refusal

    def reachable(self, n_past: int, n_now: int) -> int:
        """The most tokens, n_past or fewer, that the sequence of n_now tokens can go back to."""
        return n_now if n_past >= n_now else self.known_before(n_past)

    def known_before(self, n_past: int) -> int:
        """The same where the state after the last token is not known any more."""
        place = self.checkpoints.before(n_past) if self.needs_checkpoints else n_past
        return place if self.kept.has(place) else 0

    def shift_refusal(self, first: int, last: int, n_now: int) -> str:
        """Why the tokens first .. last - 1 of n_now cannot be taken out; "" where they can."""
        if self._refusal:
            return f"a context of this model cannot be shifted: {self._refusal}"
        if self.kept.after_removal(first, last, n_now) is None:
            return (
                f"tokens {first} to {last} cannot be taken out: those before them, which the next token would see, are "
                "no longer kept in layers with a window"
            )
        return ""

    def keep_refusal(self, n_tokens: int, n_now: int) -> str:
        """Why the first n_tokens of n_now cannot be kept elsewhere; "" where they can."""
        if n_tokens == n_now or (not self.needs_checkpoints and self.kept.has(n_tokens)):
            return ""
        return f"{n_tokens} tokens cannot be kept: the model's state is that after {n_now}"
