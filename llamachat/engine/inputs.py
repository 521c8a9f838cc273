"""What a caller gives to be evaluated, checked: tokens of the vocabulary, or vectors in place of their embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.batch import EMBEDDED
from llamachat.engine.plan import Plan
from llamachat.errors import UsageError


@dataclass(frozen=True)
class Inputs:
    """Rows to evaluate: ids int32 [n], EMBEDDED where `embeddings`, float32 [n, width], has them."""

    ids: NDArray[np.int32]
    embeddings: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, some: slice) -> Inputs:
        return Inputs(self.ids[some], None if self.embeddings is None else self.embeddings[some])


def token_inputs(tokens: Sequence[int], n_vocab: int) -> Inputs:
    """Raises UsageError for no tokens, and for ids that are not in the vocabulary."""
    if not len(tokens):
        raise UsageError("nothing to evaluate: the list of tokens is empty")
    ids = np.asarray(tokens)
    if ids.ndim != 1 or ids.dtype.kind not in "iu" or min(tokens) < 0 or max(tokens) >= n_vocab:
        raise UsageError(f"token ids must be between 0 and {n_vocab - 1}")
    return Inputs(ids.astype(np.int32))


def embedding_inputs(embeddings: np.ndarray, plan: Plan) -> Inputs:
    """Raises UsageError for what is not float [n, width] or not finite, and where no vector can stand for a token."""
    node, found = plan.embedding, np.asarray(embeddings)
    if node is None:
        raise UsageError("embeddings cannot be given to this model: it reads token ids in several places")
    if found.ndim != 2 or not len(found) or found.shape[1] != node.width or found.dtype.kind != "f":
        raise UsageError(f"embeddings must be floats [n, {node.width}], not {found.dtype} {list(found.shape)}")
    with np.errstate(over="ignore"):  # what is too large becomes infinite
        vectors = found.astype(np.float32)
    if not np.isfinite(vectors).all():
        raise UsageError("an embedding holds numbers that are not finite")
    return Inputs(np.full(len(vectors), EMBEDDED, np.int32), vectors)
