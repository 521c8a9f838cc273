"""What a caller gives to be evaluated and wants of it, checked: tokens or embeddings, logits or hidden states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.batch import EMBEDDED, Wanted
from llamachat.engine.graph import Given, Number
from llamachat.engine.plan import Plan
from llamachat.errors import UsageError

What = Literal["logits", "hidden"]


@dataclass(frozen=True)
class Inputs:
    """Rows to evaluate: ids int32 [n], EMBEDDED where `embeddings`, float32 [n, width], has them.

    given: values of the graph's `Given`s, [n_own, width], which stand beside all of the rows.
    """

    ids: NDArray[np.int32]
    embeddings: NDArray[np.float32] | None = None
    given: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, some: slice) -> Inputs:
        return Inputs(self.ids[some], None if self.embeddings is None else self.embeddings[some], self.given)


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


def given_inputs(given: Mapping[str, np.ndarray], plan: Plan) -> dict[str, NDArray[Any]]:
    """The values as the plan's operations read them: float32 or int32 [n, width].

    Raises UsageError for a name that the model does not ask for, another shape or kind of numbers, more rows than it
    takes, floats that are not finite, and numbers of rows that differ where they stand for the same.
    """
    found = {name: _given(name, np.asarray(values), plan.given.get(name)) for name, values in given.items()}
    for rows in plan.own_rows:
        counts = {name: len(found.get(name, ())) for name, node in plan.given.items() if node.rows == rows}
        if len({*counts.values()}) > 1:
            said = ", ".join(f"{name} {n}" for name, n in counts.items())
            raise UsageError(f"values of {rows.name} must have one number of rows, not {said}")
    return found


def _given(name: str, values: np.ndarray, node: Given | None) -> NDArray[Any]:
    if node is None:
        raise UsageError(f"this model takes no values {name!r}")
    kind, kinds = (np.float32, "f") if node.number is Number.FLOAT else (np.int32, "iu")
    most, width = node.rows.most, node.width
    if values.ndim != 2 or values.shape[1] != width or len(values) > most or values.dtype.kind not in kinds:
        wanted, found = np.dtype(kind).name, f"{values.dtype} {list(values.shape)}"
        raise UsageError(f"{name} must be {wanted} [n, {width}] with at most {most} rows, not {found}")
    result = values.astype(kind)
    if node.number is Number.FLOAT and not np.isfinite(result).all():
        raise UsageError(f"{name} holds numbers that are not finite")
    return result


def wanted_result(wanted: What, plan: Plan) -> tuple[Wanted, int]:
    """What is wanted, and how many numbers of each row that is.

    Raises UsageError for anything but logits and hidden states, and for hidden states of a model without output head.
    """
    if wanted == "logits":
        return Wanted.LOGITS, plan.nodes[-1].width
    if wanted != "hidden":
        raise UsageError(f'"logits" or "hidden" states can be wanted, not {wanted!r}')
    if plan.hidden is None:
        raise UsageError("this model has no output head, and so no hidden states before it")
    return Wanted.HIDDEN, plan.hidden.width
