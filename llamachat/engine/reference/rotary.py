"""What positions make of rows."""

import numpy as np

from llamachat.engine.graph import Rope, Temperature
from llamachat.engine.positions import rope_angles, temperatures
from llamachat.engine.reference.evaluation import Evaluation, Floats, value


@value.register
def rope(node: Rope, state: Evaluation) -> Floats:
    """[n_tokens, width]: pairs (a, b) as (a cos t - b sin t, a sin t + b cos t), t = the angle of position and pair."""
    n_rot, spec = node.spec.n_rot, node.spec.in_context(state.n_ctx or len(state.tokens))
    factors = None if spec.factors is None else state.weight(spec.factors)
    cos, sin = (z[:, None, :] for z in rope_angles(spec, factors, np.arange(len(state.tokens))))
    x = state.values[node.x]
    heads = x.reshape(len(x), -1, node.head_dim).copy()
    first, second = slice(0, n_rot, 2), slice(1, n_rot, 2)
    if node.spec.order == "halves":
        first, second = slice(0, n_rot // 2), slice(n_rot // 2, n_rot)
    a, b = heads[..., first].copy(), heads[..., second].copy()
    heads[..., first], heads[..., second] = a * cos - b * sin, a * sin + b * cos
    return heads.reshape(x.shape)


@value.register
def temperature(node: Temperature, state: Evaluation) -> Floats:
    """x times the factor of its row's position: [n_tokens, width]."""
    found: Floats = state.values[node.x] * temperatures(node.spec, np.arange(len(state.tokens)))[:, None]
    return found
