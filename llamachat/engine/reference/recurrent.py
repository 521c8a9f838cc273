"""Recurrences whose state has a fixed size, token by token."""

import numpy as np

from llamachat.engine.graph import DeltaRule, HeadScan, SelectiveScan, Steps
from llamachat.engine.reference.evaluation import Evaluation, Floats, value


@value.register
def steps(node: Steps, state: Evaluation) -> Floats:
    """softplus(x + bias), then exp(that * a): [n_tokens, 2 n_head]."""
    step = np.logaddexp(0, state.values[node.x] + state.weight(node.bias).reshape(-1))
    return np.concatenate([step, np.exp(step * state.weight(node.a).reshape(-1))], 1)


@value.register
def selective_scan(node: SelectiveScan, state: Evaluation) -> Floats:
    """S [width, n_state]; y [n_tokens, width]."""
    x, b, c = (state.values[z] for z in (node.x, node.b, node.c))
    step, a, skip = np.logaddexp(0, state.values[node.step]), state.weight(node.a), state.weight(node.skip).reshape(-1)
    kept, y = np.zeros(a.shape), np.empty_like(x)
    for t in range(len(x)):
        kept = kept * np.exp(step[t, :, None] * a) + (step[t] * x[t])[:, None] * b[t]
        y[t] = kept @ c[t] + skip * x[t]
    return y


@value.register
def head_scan(node: HeadScan, state: Evaluation) -> Floats:
    """S [n_head, head_dim, n_state]; y [n_tokens, width]."""
    n, heads = len(state.values[node.x]), node.n_head
    x = state.values[node.x].reshape(n, heads, -1)
    b, c = (np.repeat(state.values[z].reshape(n, node.n_group, -1), heads // node.n_group, 1) for z in (node.b, node.c))
    step, decay = np.split(state.values[node.steps], 2, 1)
    skip = state.weight(node.skip).reshape(-1, 1)
    kept, y = np.zeros((heads, x.shape[2], node.n_state)), np.empty_like(x)
    for t in range(n):
        kept = kept * decay[t, :, None, None] + (x[t] * step[t, :, None])[..., None] * b[t, :, None]
        y[t] = np.einsum("hpn,hn->hp", kept, c[t]) + skip * x[t]
    return y.reshape(n, node.width)


@value.register
def delta_rule(node: DeltaRule, state: Evaluation) -> Floats:
    """S [n_head, key_dim, value_dim]; y [n_tokens, width]."""
    n, heads = len(state.values[node.v]), np.arange(node.n_head)
    own = heads * node.n_head_k // node.n_head if node.repeats else heads % node.n_head_k
    q, k = (state.values[z].reshape(n, node.n_head_k, -1)[:, own] for z in (node.q, node.k))
    v, beta = state.values[node.v].reshape(n, node.n_head, -1), state.values[node.beta]
    decay = np.split(state.values[node.steps], 2, 1)[1]
    kept, y = np.zeros((node.n_head, node.key_dim, v.shape[2])), np.empty_like(v)
    for t in range(n):
        kept = kept * decay[t, :, None, None]
        new = beta[t, :, None] * (v[t] - np.einsum("hkv,hk->hv", kept, k[t]))
        kept = kept + k[t][..., None] * new[:, None]
        y[t] = np.einsum("hkv,hk->hv", kept, q[t]) * node.scale
    return y.reshape(n, node.width)
