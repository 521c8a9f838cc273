"""Multi-head latent attention."""

import numpy as np

from llamachat.engine.graph import HeadLinear, LatentAttention
from llamachat.engine.reference.evaluation import Evaluation, Floats, value


@value.register
def head_linear(node: HeadLinear, state: Evaluation) -> Floats:
    """x [n, n_head*n_in] head by head times W^T [n_in, n_out], or times W where it is transposed."""
    one, x = node.matrices, state.values[node.x]
    matrices = state.weight(one.tensor).reshape(one.n_head, one.rows, -1)[:, one.first : one.first + one.n]
    matrices = matrices if one.transposed else matrices.transpose(0, 2, 1)
    found: Floats = np.einsum("nhi,hio->nho", x.reshape(len(x), one.n_head, -1), matrices, optimize=True)
    return found.reshape(len(x), -1)


@value.register
def latent_attention(node: LatentAttention, state: Evaluation) -> Floats:
    """softmax(q k^T * scale) over the keys up to each query, times k without its first n_rot: [n, n_head*value_dim]."""
    q, k = state.values[node.q], state.values[node.k]
    n = len(q)
    scores = np.einsum("ihd,jd->hij", q.reshape(n, node.n_head, -1), k, optimize=True) * node.scale
    scores = np.where(np.arange(n) <= np.arange(n)[:, None], scores, -np.inf)
    share = np.exp(scores - scores.max(-1, keepdims=True))
    share /= share.sum(-1, keepdims=True)
    found: Floats = np.einsum("hij,jd->ihd", share, k[:, node.rotation.n_rot :], optimize=True)
    return found.reshape(n, -1)
