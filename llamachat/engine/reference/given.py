"""Values that do not come from tokens."""

import numpy as np

from llamachat.engine.graph import Given, Number
from llamachat.engine.reference.evaluation import Evaluation, Value, value


@value.register
def given(node: Given, state: Evaluation) -> Value:
    """What the caller brought, [n, width], float64 or int64; no rows where that is nothing."""
    kind = np.float64 if node.number is Number.FLOAT else np.int64
    return np.asarray(state.given.get(node.name, np.empty((0, node.width))), kind).reshape(-1, node.width)
