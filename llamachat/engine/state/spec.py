"""One description per layer of what a sequence keeps: keys and values, those of an encoder, a recurrent state.

A `StateSpec` says what may be done with it. What it cannot do is refused by whoever owns the sequence, with the reason
that the spec gives, and never done wrongly.
"""

from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True)
class StateSpec:
    """State of one layer of one sequence."""

    layer: int

    @property
    def can_truncate(self) -> bool:
        """Whether the state after n tokens can be had from the one after more."""
        return False

    @property
    def shift_refusal(self) -> str:
        """Why tokens cannot be taken out of the middle; "" where they can."""
        return "its state cannot be moved"

    @property
    def grouping_refusal(self) -> str:
        """Why tokens cannot share positions (Self-Extend); "" where they can."""
        return ""


@dataclass(frozen=True)
class KeyValueSpec(StateSpec):
    """Keys and values of every token: n_head heads of key_dim and value_dim numbers.

    value_dim 0: values are numbers of the keys, which are kept once. window: how many of the last tokens one sees,
    itself among them; 0: all. rotation: the rotary embedding that the keys carry, as the graph describes it, None for
    none. is_fixed: their positions cannot be changed, because keys were not rotated last, or because the positions were
    added to what keys and values are computed from. measures_distance: scores depend on how many tokens lie between key
    and query, whatever their positions.
    """

    n_head: int
    key_dim: int
    value_dim: int
    window: int = 0
    rotation: Hashable | None = None
    is_fixed: bool = False
    measures_distance: bool = False

    @property
    def can_truncate(self) -> bool:
        """Always: what a token left belongs to it alone."""
        return True

    @property
    def shift_refusal(self) -> str:
        """Positions that no rotation takes out of cached keys and values stay for good."""
        return "its keys and values contain positions that no rotation can change" if self.is_fixed else ""

    @property
    def grouping_refusal(self) -> str:
        """Distances count tokens."""
        if self.measures_distance:
            return "its scores depend on the number of tokens between two, which sharing positions does not change"
        return self.shift_refusal


@dataclass(frozen=True)
class EncoderSpec(StateSpec):
    """Keys and values of an encoder's tokens, for cross-attention: at most n_rows of them, computed once a sequence.

    n_head heads of key_dim and value_dim numbers, as `KeyValueSpec`. No token of the decoder adds to them. They belong
    to what the encoder has read: sequences that read something else share no prefix, even of equal tokens.
    """

    n_head: int
    key_dim: int
    value_dim: int
    n_rows: int

    @property
    def can_truncate(self) -> bool:
        """Always: the decoder's tokens leave nothing in it."""
        return True

    @property
    def shift_refusal(self) -> str:
        """Nothing moves."""
        return ""


@dataclass(frozen=True)
class RecurrentSpec(StateSpec):
    """A fixed number of float32 values for a sequence, however long it is: [n_rows, width], zero at its beginning.

    name: tells it from the other states of its layer (a short convolution's, a scan's). The state after n tokens cannot
    be had from the one after more: sequences keep copies of it at the borders of turns.
    """

    name: str
    n_rows: int
    width: int

    @property
    def n_values(self) -> int:
        """Numbers in it."""
        return self.n_rows * self.width
