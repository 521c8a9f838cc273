"""Causal attention."""

from typing import Final

import numpy as np

from llamachat.engine.graph import Attention
from llamachat.engine.positions import bias_by_distance
from llamachat.engine.reference.evaluation import Evaluation, Floats, value

QUERIES_AT_ONCE: Final = 256


@value.register
def attention(node: Attention, state: Evaluation) -> Floats:
    """softmax(q k^T * scale) v over the keys up to each query that its window and its chunk have, see the operation.

    q [n, n_head*head_dim], k [n, n_head_kv*head_dim], v [n, n_head_kv*value_dim]: [n, n_head*value_dim].
    """
    n, group = len(state.tokens), node.n_head // node.n_head_kv
    q = state.values[node.q].reshape(n, node.n_head_kv, group, node.head_dim)
    k, v = (state.values[z].reshape(n, node.n_head_kv, -1) for z in (node.k, node.v))
    out = np.empty((*q.shape[:3], node.value_dim))
    heads = node.n_head_kv, group, 1, 1
    slopes = np.reshape(node.slopes or np.zeros(node.n_head), heads)
    sink = np.full(heads, -np.inf) if node.sinks is None else state.weight(node.sinks).reshape(heads)
    added = _bias(node, state, n)
    for start in range(0, n, QUERIES_AT_ONCE):
        queries = slice(start, min(start + QUERIES_AT_ONCE, n))
        place = np.arange(n)[queries, None]
        age = place - np.arange(queries.stop)
        seen = (age >= 0) & (age < (node.window or n)) & (age <= place % (node.chunk or n))
        scores = np.einsum("ihgd,jhd->hgij", q[queries], k[: queries.stop], optimize=True) * node.scale
        if node.soft_cap:
            scores = node.soft_cap * np.tanh(scores / node.soft_cap)
        scores = np.where(seen, scores - slopes * age + added[:, n - age].reshape(*scores.shape), -np.inf)
        top = np.maximum(scores.max(-1, keepdims=True), sink)
        share = np.exp(scores - top)
        share /= share.sum(-1, keepdims=True) + np.exp(sink - top)
        out[queries] = np.einsum("hgij,jhd->ihgd", share, v[: queries.stop], optimize=True)
    return out.reshape(n, node.width)


def _bias(node: Attention, state: Evaluation, n: int) -> Floats:
    """[n_head, 2*n + 1]: what is added to scores, column n + key - query."""
    if node.bias is None:
        return np.zeros((node.n_head, 2 * n + 1))
    buckets = None if node.bias.buckets is None else state.weight(node.bias.buckets)
    return bias_by_distance(node.bias, buckets, n)
