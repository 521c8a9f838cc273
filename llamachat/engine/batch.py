"""`Batch`: the rows of a step, and what comes out of it; no backend's words are in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Final

import numpy as np

from llamachat.engine.arrays import NDArray

if TYPE_CHECKING:
    from llamachat.engine.state.sequence import SequenceState

EMBEDDED: Final = -1
"""The token id of a row that is given as an embedding."""


class Wanted(IntFlag):
    """What is computed of a row besides its state."""

    NOTHING = 0
    LOGITS = 1
    HIDDEN = 2
    """The input of the output head (`Plan.hidden`), behind the last norm."""


@dataclass(frozen=True)
class Batch:
    """n rows, each a token of a sequence. A row sees the cells of its sequence that are written, itself among them.

    states: of the rows' sequences, one for each row, or one for all. ids: int32 [n], `EMBEDDED` for rows of which
    `embeddings`, float32 [n, width], has the vector; it takes the place of the token's embedding with its factor
    (`Plan.embedding`). positions, cells: int64 [n]. wanted: uint8 [n] of `Wanted`.

    contiguous: consecutive tokens of one sequence (prefill). Else rows are of any sequences, and those of one follow
    each other in it.
    """

    states: Sequence[SequenceState]
    ids: NDArray[np.int32]
    positions: NDArray[np.int64]
    cells: NDArray[np.int64]
    wanted: NDArray[np.uint8]
    embeddings: NDArray[np.float32] | None = None
    contiguous: bool = False

    @property
    def n_outputs(self) -> int:
        """How many rows there are from the first one of which anything is wanted."""
        first = np.flatnonzero(self.wanted)
        return len(self.ids) - int(first[0]) if len(first) else 0


@dataclass(frozen=True)
class Outputs:
    """Room for what is wanted of a batch, in the order of its rows.

    logits: float32 [rows of which logits are wanted, n_vocab]. hidden: float32 [rows of which it is wanted, width].
    """

    logits: NDArray[np.float32]
    hidden: NDArray[np.float32]


def wanted_of_last(n_rows: int, n_wanted: int, what: Wanted) -> NDArray[np.uint8]:
    """uint8 [n_rows]: `what` of the last n_wanted rows, nothing of the others."""
    wanted = np.zeros(n_rows, np.uint8)
    wanted[n_rows - n_wanted :] = what
    return wanted
