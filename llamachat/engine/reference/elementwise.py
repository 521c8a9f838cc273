"""Operations number by number."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from llamachat.engine.graph import Add, AddVector, Clamp, Glu, Mul, MulVector, Scale, SoftCap, Unary
from llamachat.engine.reference.evaluation import Evaluation, Floats, value


@value.register
def glu(node: Glu, state: Evaluation) -> Floats:
    """activation(gate) * up, all [rows, width]."""
    return ACTIVATIONS[node.activation](state.values[node.gate]) * state.values[node.up]


@value.register
def unary(node: Unary, state: Evaluation) -> Floats:
    """activation(x) [rows, width]."""
    return ACTIVATIONS[node.activation](state.values[node.x])


@value.register
def add(node: Add, state: Evaluation) -> Floats:
    """a + b, all [rows, width]."""
    return state.values[node.a] + state.values[node.b]


@value.register
def mul(node: Mul, state: Evaluation) -> Floats:
    """a [rows, width] * b [rows, width or 1]."""
    return state.values[node.a] * state.values[node.b]


@value.register
def scale(node: Scale, state: Evaluation) -> Floats:
    """x * factor + offset [rows, width]."""
    return state.values[node.x] * node.factor + node.offset


@value.register
def clamp(node: Clamp, state: Evaluation) -> Floats:
    """x between low and high [rows, width]."""
    return np.clip(state.values[node.x], node.low, node.high)


@value.register
def soft_cap(node: SoftCap, state: Evaluation) -> Floats:
    """cap * tanh(x / cap) [rows, width]."""
    return node.cap * np.tanh(state.values[node.x] / node.cap)


@value.register
def add_vector(node: AddVector, state: Evaluation) -> Floats:
    """x [rows, width] + a row of the vector [width], or its only value."""
    return state.values[node.x] + _row(node, state)


@value.register
def mul_vector(node: MulVector, state: Evaluation) -> Floats:
    """x [rows, width] * a row of the vector [width], or its only value."""
    return state.values[node.x] * _row(node, state)


def _row(node: AddVector | MulVector, state: Evaluation) -> Floats:
    values = state.weight(node.vector)
    return values.reshape(-1) if node.is_one_value else values.reshape(-1, node.width)[node.row]


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + e^-x), written so that no exponential overflows; any shape."""
    small = np.exp(-np.abs(x))
    y: Floats = np.where(x < 0, small, 1.0) / (1 + small)
    return y


def silu(x: Floats) -> Floats:
    """x sigmoid(x); any shape."""
    return x * sigmoid(x)


def gelu(x: Floats) -> Floats:
    """The tanh approximation (Hendrycks & Gimpel 2016, arXiv 1606.08415); any shape."""
    y: Floats = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return y


def relu(x: Floats) -> Floats:
    """max(x, 0); any shape."""
    y: Floats = np.maximum(x, 0)
    return y


def relu2(x: Floats) -> Floats:
    """max(x, 0)^2 (So et al. 2021, arXiv 2109.08668); any shape."""
    return relu(x) ** 2


def softplus(x: Floats) -> Floats:
    """ln(1 + e^x); any shape."""
    y: Floats = np.logaddexp(x, 0)
    return y


ACTIVATIONS: Final[Mapping[str, Callable[[Floats], Floats]]] = {
    "silu": silu,
    "gelu": gelu,
    "relu": relu,
    "relu2": relu2,
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "softplus": softplus,
    "exp": np.exp,
}
