"""Mixtures of experts."""

import numpy as np

from llamachat.engine.graph import Choice, ClampedGlu, ExpertLinear, Mixture, Routing, ScaleRows, Share
from llamachat.engine.reference.evaluation import Evaluation, Floats, Value, value

LEAST_SUM = 2.0**-14
"""What the sum of shares is at least: the smallest normal half."""


@value.register
def choice(node: Choice, state: Evaluation) -> Value:
    """logits [n_tokens, n_expert] to numbers of experts, int64 [n_tokens * n_used, 1]; the best first."""
    how, logits = node.routing, state.values[node.logits]
    scores = logits if how.scoring == "chosen" else _scores(logits, how)
    if node.bias is not None:
        scores = scores + state.weight(node.bias)
    elif how.n_group == 1:
        scores = logits  # in the same order, also where scores are equal for their rounding
    if how.n_group > 1:
        groups = scores.reshape(len(scores), how.n_group, -1)
        sums = np.sort(groups, axis=2)[:, :, -2:].sum(2)
        best = np.argsort(-sums, axis=1, kind="stable")[:, : how.n_group_used]
        allowed = np.zeros(sums.shape, bool)
        np.put_along_axis(allowed, best, True, 1)
        scores = np.where(allowed[:, :, None], groups, -np.inf).reshape(scores.shape)
    order = np.argsort(-scores, axis=1, kind="stable")
    return order[:, : how.n_used].reshape(-1, 1)


@value.register
def share(node: Share, state: Evaluation) -> Floats:
    """[n_tokens * n_used, 1] of logits [n_tokens, n_expert]."""
    how, logits = node.routing, state.values[node.logits]
    chosen = state.values[node.chosen].reshape(len(logits), -1)
    if how.scoring == "chosen":
        shares = _softmax(np.take_along_axis(logits, chosen, 1))
    else:
        shares = np.take_along_axis(_scores(logits, how), chosen, 1)
    if how.normalised:
        shares = shares / np.maximum(shares.sum(1, keepdims=True), LEAST_SUM)
    found: Floats = (shares * how.scale).reshape(-1, 1)
    return found


@value.register
def expert_linear(node: ExpertLinear, state: Evaluation) -> Floats:
    """x [tokens or pairs, n_in] times W[expert]^T, times scale[expert], + bias[expert]: [pairs, width]."""
    chosen, x = state.values[node.chosen][:, 0], state.values[node.x]
    x, rows = np.repeat(x, len(chosen) // len(x), axis=0), slice(node.first, node.first + node.width)
    weight, out = state.load(node.weight.name).reshape(node.weight.shape), np.empty((len(x), node.width))
    for expert in np.unique(chosen):
        here = chosen == expert
        out[here] = x[here] @ weight[expert, rows].astype(np.float64).T
    if node.scale is not None:
        out *= state.weight(node.scale)[chosen, None]
    return out if node.bias is None else out + state.weight(node.bias)[chosen]


@value.register
def mixture(node: Mixture, state: Evaluation) -> Floats:
    """x [pairs, width] times share [pairs, 1], summed over each token's pairs: [n_tokens, width]."""
    x = state.values[node.x]
    weighed = x if node.share is None else x * state.values[node.share]
    found: Floats = weighed.reshape(-1, node.x.rows.times, node.width).sum(1)
    return found


@value.register
def scale_rows(node: ScaleRows, state: Evaluation) -> Floats:
    """x [tokens or rows of share, width] times share [rows, 1]: [rows, width]."""
    x, factors = state.values[node.x], state.values[node.share]
    found: Floats = np.repeat(x, len(factors) // len(x), axis=0) * factors
    return found


@value.register
def clamped_glu(node: ClampedGlu, state: Evaluation) -> Floats:
    """Number by number, all [rows, width]."""
    gate = np.minimum(state.values[node.gate], node.limit)
    up = np.clip(state.values[node.up], -node.limit, node.limit)
    found: Floats = gate * _sigmoid(node.alpha * gate) * (up + 1)
    return found


def _scores(logits: Floats, how: Routing) -> Floats:
    return _sigmoid(logits) if how.scoring == "sigmoid" else _softmax(logits)


def _softmax(x: Floats) -> Floats:
    powers = np.exp(x - x.max(1, keepdims=True))
    shares: Floats = powers / powers.sum(1, keepdims=True)
    return shares


def _sigmoid(x: Floats) -> Floats:
    y: Floats = 0.5 * (1 + np.tanh(x / 2))
    return y
