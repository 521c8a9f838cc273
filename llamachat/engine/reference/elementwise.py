"""Operations number by number."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from llamachat.engine.graph import Add, Glu
from llamachat.engine.reference.evaluation import Evaluation, Floats, value


@value.register
def glu(node: Glu, state: Evaluation) -> Floats:
    """activation(gate) * up, all [n_tokens, width]."""
    return ACTIVATIONS[node.activation](state.values[node.gate]) * state.values[node.up]


@value.register
def add(node: Add, state: Evaluation) -> Floats:
    """a + b, all [n_tokens, width]."""
    return state.values[node.a] + state.values[node.b]


def silu(x: Floats) -> Floats:
    """x sigmoid(x), written so that no exponential overflows; any shape."""
    y: Floats = 0.5 * x * (1 + np.tanh(x / 2))
    return y


def gelu(x: Floats) -> Floats:
    """The tanh approximation (Hendrycks & Gimpel 2016, arXiv 1606.08415); any shape."""
    y: Floats = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return y


ACTIVATIONS: Final[Mapping[str, Callable[[Floats], Floats]]] = {"silu": silu, "gelu": gelu}
