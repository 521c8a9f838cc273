"""The recurrences of RWKV 6 and 7, token by token."""

import numpy as np

from llamachat.engine.graph import Mix, Wkv6, Wkv7
from llamachat.engine.reference.evaluation import Evaluation, Floats, value


@value.register
def mix(node: Mix, state: Evaluation) -> Floats:
    """x + (other - x) * share: [n_tokens, width]."""
    x, other = state.values[node.x], state.values[node.other]
    share = state.values[node.more] if node.more is not None else np.zeros_like(x)
    if node.share is not None:
        share = share + state.weight(node.share).reshape(-1, node.width)[node.row]
    y: Floats = x + (other - x) * share
    return y


@value.register
def wkv6(node: Wkv6, state: Evaluation) -> Floats:
    """S [n_head, keys, values]; y [n_tokens, width]."""
    r, w, k, v = (_heads(state.values[z], node) for z in (node.r, node.w, node.k, node.v))
    decay = np.exp(-np.exp(w))
    kept, y = np.zeros((*r.shape[1:], node.head_dim)), np.empty_like(r)
    first = state.weight(node.first).reshape(r.shape[1:]) if node.first is not None else None
    if first is None:
        k = k * (1 - decay)
    for t in range(len(r)):
        added = k[t][..., None] * v[t][:, None]
        faded = kept * decay[t][..., None] + added
        seen = faded if first is None else kept + first[..., None] * added
        y[t] = np.einsum("hkv,hk->hv", seen, r[t]) * node.scale
        kept = faded
    return _normed(y, node, state).reshape(len(r), node.width)


@value.register
def wkv7(node: Wkv7, state: Evaluation) -> Floats:
    """S [n_head, keys, values]; y [n_tokens, width]."""
    r, w, k, v, rate = (_heads(state.values[z], node) for z in (node.r, node.w, node.k, node.v, node.rate))
    direct, replace, bonus = (state.weight(z).reshape(r.shape[1:]) for z in (node.direct, node.replace, node.bonus))
    decay, rate = np.exp(-np.exp(-0.5) * _sigmoid(w)), _sigmoid(rate)
    c = k * direct
    c /= np.maximum(np.sqrt((c * c).sum(-1, keepdims=True)), 1e-12)
    h = k * (1 + (rate - 1) * replace)
    kept, y = np.zeros((*r.shape[1:], node.head_dim)), np.empty_like(r)
    for t in range(len(r)):
        seen = np.einsum("hkv,hk->hv", kept, c[t])
        kept = (
            kept * decay[t][..., None] - (c[t] * rate[t])[..., None] * seen[:, None] + h[t][..., None] * v[t][:, None]
        )
        y[t] = np.einsum("hkv,hk->hv", kept, r[t])
    found: Floats = _normed(y, node, state) + (r * h * bonus).sum(-1, keepdims=True) * v
    return found.reshape(len(r), node.width)


def _heads(x: Floats, node: Wkv6 | Wkv7) -> Floats:
    return x.reshape(len(x), -1, node.head_dim)


def _normed(y: Floats, node: Wkv6 | Wkv7, state: Evaluation) -> Floats:
    """A layer norm over every head of y [n_tokens, n_head, head_dim], if the node has one."""
    if node.norm is None or node.norm_bias is None:
        return y
    weight, bias = (state.weight(z).reshape(y.shape[1:]) for z in (node.norm, node.norm_bias))
    y = y - y.mean(-1, keepdims=True)
    normed: Floats = y / np.sqrt((y * y).mean(-1, keepdims=True) + node.eps) * weight + bias
    return normed


def _sigmoid(x: Floats) -> Floats:
    y: Floats = 0.5 * (1 + np.tanh(x / 2))
    return y
