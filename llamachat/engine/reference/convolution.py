"""A short causal convolution, and a token shift."""

import numpy as np

from llamachat.engine.graph import Convolution, Shift
from llamachat.engine.reference.elementwise import silu
from llamachat.engine.reference.evaluation import Evaluation, Floats, value


@value.register
def convolution(node: Convolution, state: Evaluation) -> Floats:
    """[n_tokens, width]: each column with its own kernel [kernel], the newest row last."""
    x, weight = state.values[node.x], state.weight(node.weight)
    before = np.concatenate([np.zeros((node.kernel - 1, node.width)), x])
    y: Floats = sum((before[j : j + len(x)] * weight[:, j] for j in range(node.kernel)), np.zeros_like(x))
    if node.bias is not None:
        y = y + state.weight(node.bias).reshape(-1)
    return silu(y) if node.silu else y


@value.register
def shift(node: Shift, state: Evaluation) -> Floats:
    """Every row one later: [n_tokens, width]."""
    x = state.values[node.x]
    return np.concatenate([np.zeros((1, node.width)), x[:-1]])
