"""Products with matrices."""

from typing import Final

import numpy as np

from llamachat.engine.graph import Linear
from llamachat.engine.reference.evaluation import Evaluation, Floats, value

ROWS_AT_ONCE: Final = 8192
"""Rows of a matrix that are float64 at the same time."""


@value.register
def linear(node: Linear, state: Evaluation) -> Floats:
    """x [rows, n_in] times W^T, W [width, n_in], times scale [1], + bias [width], times factor: [rows, width]."""
    x = state.values[node.x]
    weight = state.load(node.weight.name).reshape(-1, *node.weight.shape[-2:])[node.part]
    out = np.empty((len(x), node.width))
    for row in range(0, node.width, ROWS_AT_ONCE):
        rows = slice(row, row + ROWS_AT_ONCE)
        out[:, rows] = x @ weight[rows].astype(np.float64).T
    if node.scale is not None:
        out *= state.weight(node.scale).reshape(())
    if node.bias is not None:
        out += state.weight(node.bias)
    return out * node.factor
