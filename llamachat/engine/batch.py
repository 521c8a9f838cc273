"""`Batch`: the rows of a step, and what comes out of it; no backend's words are in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntFlag
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

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


class Batch(NamedTuple):
    """n rows, each a token of a sequence. A row sees the cells of its sequence that are written, itself among them.

    states: of the rows' sequences, one for each row, or one for all. ids: int32 [n], `EMBEDDED` for rows of which
    `embeddings`, float32 [n, width], has the vector; it takes the place of the token's embedding with its factor
    (`Plan.embedding`). positions, cells: int64 [n].

    n_outputs: of the rows before the last n_outputs nothing is wanted. wanted: what is wanted of those n_outputs, a
    `Wanted` for all of them or uint8 [n_outputs].

    given: {name of a `graph.Given`: its values, float32 or int32 [n, width]}.

    texts: the lengths of the texts that the rows are, one after the other, for models that need a text in one step
    (`Plan.needs_whole`); none: all rows are one. Such rows are contiguous, and their cells have no meaning.

    contiguous: consecutive tokens of one sequence (prefill). Else rows are of any sequences, and those of one follow
    each other in it.
    """

    states: Sequence[SequenceState]
    ids: NDArray[np.int32]
    positions: NDArray[np.int64]
    cells: NDArray[np.int64]
    n_outputs: int
    wanted: Wanted | NDArray[np.uint8] = Wanted.LOGITS
    embeddings: NDArray[np.float32] | None = None
    contiguous: bool = False
    given: Mapping[str, NDArray[Any]] = MappingProxyType({})
    texts: Sequence[int] = ()


class Outputs(NamedTuple):
    """Room for what is wanted of a batch, in the order of its rows; what is not wanted may stand for anything.

    logits: float32 [rows of which logits are wanted, n_vocab]. hidden: float32 [rows of which it is wanted, width].
    """

    logits: NDArray[np.float32]
    hidden: NDArray[np.float32]
