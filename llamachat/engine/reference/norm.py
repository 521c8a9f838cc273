"""Normalisation of rows."""

import numpy as np

from llamachat.engine.graph import Norm, Tensor
from llamachat.engine.reference.evaluation import Evaluation, Floats, value


@value.register
def norm(node: Norm, state: Evaluation) -> Floats:
    """Every group of `size` columns of x [rows, width], normed as `Norm` says: [rows, width]."""
    x = state.values[node.x]
    groups = x.reshape(len(x), -1, node.size)
    if node.kind == "layer":
        groups = groups - groups.mean(-1, keepdims=True)
    squares = groups * groups
    if node.kind == "l2":
        found: Floats = groups / np.maximum(np.sqrt(squares.sum(-1, keepdims=True)), node.eps)
    else:
        found = groups / np.sqrt(squares.mean(-1, keepdims=True) + node.eps)
    if node.weight is not None:
        found = found * _vector(node, node.weight, state)
    if node.bias is not None:
        found = found + _vector(node, node.bias, state)
    return found.reshape(x.shape)


def _vector(node: Norm, vector: Tensor, state: Evaluation) -> Floats:
    """Values [1 or groups, size]."""
    return state.weight(vector).reshape(-1, node.size)
