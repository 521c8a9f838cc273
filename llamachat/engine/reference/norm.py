"""Normalisation of rows."""

import numpy as np

from llamachat.engine.graph import RmsNorm
from llamachat.engine.reference.evaluation import Evaluation, Floats, value


@value.register
def rms_norm(node: RmsNorm, state: Evaluation) -> Floats:
    """x / sqrt(mean(x^2) + eps) * weight [size] in every group of `size` columns: [n_tokens, width]."""
    x = state.values[node.x]
    groups = x.reshape(len(x), -1, node.size)
    norm: Floats = groups / np.sqrt((groups * groups).mean(-1, keepdims=True) + node.eps)
    norm *= state.weight(node.weight)
    return norm.reshape(x.shape)
