"""Attention in both directions, and to an encoder's rows."""

import numpy as np

from llamachat.engine.graph import CrossAttention, Encoded, TextAttention
from llamachat.engine.positions import bias_by_distance
from llamachat.engine.reference.evaluation import Evaluation, Floats, value


@value.register
def text_attention(node: TextAttention, state: Evaluation) -> Floats:
    """softmax(q k^T * scale + bias) v over all rows: [n, n_head*value_dim]; all rows are one text."""
    q, k, v = (state.values[z] for z in (node.q, node.k, node.v))
    n = len(q)
    bias = np.zeros((node.n_head, n, n))
    if node.bias is not None:
        buckets = None if node.bias.buckets is None else state.weight(node.bias.buckets)
        distance = np.arange(n) - np.arange(n)[:, None]
        bias = bias_by_distance(node.bias, buckets, n)[:, distance + n]
    return attend(q.reshape(n, node.n_head, -1), k, v, node.n_head_kv, node.scale, bias)


@value.register
def encoded(node: Encoded, state: Evaluation) -> Floats:
    """k and v side by side."""
    return np.hstack([state.values[node.k], state.values[node.v]])


@value.register
def cross_attention(node: CrossAttention, state: Evaluation) -> Floats:
    """softmax(q k^T * scale) v over all of the encoder's rows: [n_tokens, n_head*value_dim]."""
    q = state.values[node.q]
    k, v = np.split(state.values[node.encoded], [node.encoded.k.width], axis=1)
    bias = np.zeros((node.n_head, len(q), len(k)))
    return attend(q.reshape(len(q), node.n_head, -1), k, v, node.encoded.n_head, node.scale, bias)


def attend(q: Floats, k: Floats, v: Floats, n_head_kv: int, scale: float, bias: Floats) -> Floats:
    """q [n, n_head, head_dim], k [m, n_head_kv*head_dim], v [m, n_head_kv*value_dim], bias [n_head, n, m]."""
    group = q.shape[1] // n_head_kv
    keys, values = (np.repeat(z.reshape(len(z), n_head_kv, -1), group, axis=1) for z in (k, v))
    scores = np.einsum("ihd,jhd->hij", q, keys, optimize=True) * scale + bias
    share = np.exp(scores - scores.max(-1, keepdims=True))
    share /= share.sum(-1, keepdims=True)
    found: Floats = np.einsum("hij,jhd->ihd", share, values, optimize=True).reshape(len(q), -1)
    return found
