"""What adapters add to a model."""

import numpy as np

from llamachat.engine.graph import Direction, LowRank
from llamachat.engine.reference.evaluation import Evaluation, Floats, value


@value.register
def low_rank(node: LowRank, state: Evaluation) -> Floats:
    """base [rows, width] + B (factors * A x), x [rows, n_in], or [rows / k, n_in] for k experts of each token."""
    base, x = state.values[node.base], state.values[node.x]
    down, up, factors = (state.weight(tensor) for tensor in (node.down, node.up, node.factors))
    if node.chosen is None:
        found: Floats = base + (x @ down.T * factors) @ up.T
        return found
    chosen = state.values[node.chosen].reshape(-1)
    x = np.repeat(x, len(base) // len(x), axis=0)
    inner = np.einsum("pri,pi->pr", down[chosen], x) * factors
    added: Floats = np.einsum("por,pr->po", up[chosen], inner)
    return base + added


@value.register
def direction(node: Direction, state: Evaluation) -> Floats:
    """x [rows, width] + direction [width]."""
    return state.values[node.x] + state.weight(node.direction)
