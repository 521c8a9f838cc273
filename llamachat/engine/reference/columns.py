"""Columns of values."""

import numpy as np

from llamachat.engine.graph import Columns, Concat
from llamachat.engine.reference.evaluation import Evaluation, Floats, value


@value.register
def columns(node: Columns, state: Evaluation) -> Floats:
    """Of every group of `size` columns of x [rows, x.width] the n from first on: [rows, width]."""
    x = state.values[node.x]
    groups = x.reshape(len(x), -1, node.size)
    return groups[..., node.first : node.first + node.n].reshape(len(x), node.width)


@value.register
def concat(node: Concat, state: Evaluation) -> Floats:
    """Groups of a's columns and b's, in turns: [rows, width]."""
    a, b = (
        state.values[one].reshape(-1, n, size)
        for one, n, size in (
            (node.a, node.groups, node.a_size),
            (node.b, 1 if node.b_serves_all else node.groups, node.b_size),
        )
    )
    b = np.broadcast_to(b, (len(a), node.groups, node.b_size))
    found: Floats = np.concatenate([a, b], -1).reshape(-1, node.width)
    return found
