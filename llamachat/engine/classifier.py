"""The classifier of a reranker: how well a document answers a query, of one token's hidden state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.model import Model
from llamachat.engine.quants.tensors import decode, read
from llamachat.errors import UsageError

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Stage:
    """x W^T + bias; weight [n_out, n_in], bias [n_out]. Sums are NumPy's own, never of threads."""

    weight: Doubles
    bias: Doubles

    def of(self, x: Doubles) -> Doubles:
        """[n_out] of [n_in]."""
        found: Doubles = (self.weight * x).sum(1) + self.bias
        return found


@dataclass(frozen=True)
class Classifier:
    """tanh of `cls`, where the file has it, then `cls.output`; softmax over several outputs of a decoder."""

    dense: Stage | None
    output: Stage | None
    shares: bool

    @classmethod
    def of(cls, model: Model) -> Classifier:
        """That of a model's file. Raises UsageError where it has none."""
        dense, output = _stage(model, "cls"), _stage(model, "cls.output")
        if dense is None and output is None:
            raise UsageError(f"{model.title} is no reranker: its file has no classifier", settings=("pooling",))
        return cls(dense, output, not model.needs_whole)

    @property
    def n_scores(self) -> int:
        """How many numbers it gives."""
        last = self.output or self.dense
        assert last is not None
        return len(last.bias)

    def scores(self, state: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 [n_scores] of a hidden state [width]."""
        x = state.astype(np.float64)
        if self.dense is not None:
            x = np.tanh(self.dense.of(x))
        if self.output is not None:
            x = self.output.of(x)
        if self.shares and len(x) > 1:
            x = np.exp(x - x.max())
            x /= x.sum()
        return x.astype(np.float32)


def _stage(model: Model, name: str) -> Stage | None:
    tensors = {end: model.file.tensors.get(f"{name}.{end}") for end in ("weight", "bias")}
    weight, bias = (None if one is None else decode(one, read(model.file, one)) for one in tensors.values())
    if weight is None or tensors["weight"] is None:
        return None
    matrix = weight.reshape(-1, tensors["weight"].shape[-1]).astype(np.float64)
    return Stage(matrix, np.zeros(len(matrix)) if bias is None else bias.reshape(-1).astype(np.float64))
