"""The operations of graph.py in float64 NumPy: their living definition, and every test's oracle.

Evaluates one sequence from position 0, value by value, and forgets a value after its last use. It knows no cache, no
threads and no block format: `load` gives the weights as numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.graph import Add, Attention, Embed, Glu, Graph, Linear, Node, RmsNorm, Rope, Tensor
from llamachat.engine.positions import rope_angles
from llamachat.errors import UsageError

Floats = NDArray[np.float64]
Load = Callable[[str], NDArray[Any]]

ROWS_AT_ONCE: Final = 8192
"""Rows of a matrix that are float64 at the same time."""

QUERIES_AT_ONCE: Final = 256


@dataclass
class Evaluation:
    """One sequence on its way: tokens [n_tokens], the values that are still needed, and where weights come from."""

    load: Load
    tokens: NDArray[np.int64]
    values: dict[Node, Floats] = field(default_factory=dict)

    def weight(self, tensor: Tensor) -> Floats:
        """A tensor as float64, in the shape that the graph says."""
        return np.asarray(self.load(tensor.name), np.float64).reshape(tensor.shape)


def evaluate(graph: Graph, load: Load, tokens: Sequence[int] | NDArray[np.integer]) -> Floats:
    """The last node's value, the logits: float64 [n_tokens, n_vocab].

    load: gives the tensor of a name as floats, in any shape with as many values. Raises UsageError for no tokens or a
    token that the embedding does not have. Costs float64 copies of a matrix at a time, and n_tokens x QUERIES_AT_ONCE
    scores.
    """
    state = Evaluation(load, np.asarray(tokens, np.int64).reshape(-1))
    last_use = {operand: node for node in graph.nodes for operand in _operands(node)}
    for node in graph.nodes:
        state.values[node] = OPERATIONS[type(node)](node, state)
        for operand in _operands(node):
            if last_use[operand] is node:
                state.values.pop(operand, None)
    return state.values[graph.nodes[-1]]


def _operands(node: Node) -> list[Node]:
    return [value for f in fields(node) if isinstance(value := getattr(node, f.name), Node)]


def embed(node: Embed, state: Evaluation) -> Floats:
    """Rows of the table times the factor."""
    n_vocab = node.table.shape[0]
    if not len(state.tokens) or state.tokens.min() < 0 or state.tokens.max() >= n_vocab:
        raise UsageError(f"tokens must be at least one and lie between 0 and {n_vocab - 1}")
    table = state.load(node.table.name).reshape(node.table.shape)
    rows: Floats = table[state.tokens].astype(np.float64)
    return rows * node.factor


def linear(node: Linear, state: Evaluation) -> Floats:
    """x W^T + bias."""
    x = state.values[node.x]
    weight = state.load(node.weight.name).reshape(node.weight.shape)
    out = np.empty((len(x), node.width))
    for row in range(0, node.width, ROWS_AT_ONCE):
        rows = slice(row, row + ROWS_AT_ONCE)
        out[:, rows] = x @ weight[rows].astype(np.float64).T
    return out if node.bias is None else out + state.weight(node.bias)


def rms_norm(node: RmsNorm, state: Evaluation) -> Floats:
    """x / sqrt(mean(x^2) + eps) * weight in every group."""
    x = state.values[node.x]
    groups = x.reshape(len(x), -1, node.size)
    norm: Floats = groups / np.sqrt((groups * groups).mean(-1, keepdims=True) + node.eps)
    norm *= state.weight(node.weight)
    return norm.reshape(x.shape)


def rope(node: Rope, state: Evaluation) -> Floats:
    """Pairs (a, b) become (a cos t - b sin t, a sin t + b cos t), t = the angle of position and pair."""
    n_rot = node.spec.n_rot
    factors = None if node.spec.factors is None else state.weight(node.spec.factors)
    cos, sin = (z[:, None, :] for z in rope_angles(node.spec, factors, np.arange(len(state.tokens))))
    x = state.values[node.x]
    heads = x.reshape(len(x), -1, node.head_dim).copy()
    first, second = slice(0, n_rot, 2), slice(1, n_rot, 2)
    if node.spec.order == "halves":
        first, second = slice(0, n_rot // 2), slice(n_rot // 2, n_rot)
    a, b = heads[..., first].copy(), heads[..., second].copy()
    heads[..., first], heads[..., second] = a * cos - b * sin, a * sin + b * cos
    return heads.reshape(x.shape)


def attention(node: Attention, state: Evaluation) -> Floats:
    """softmax(q k^T * scale) v over the keys up to each query, or the last `window` of them."""
    n, group = len(state.tokens), node.n_head // node.n_head_kv
    q = state.values[node.q].reshape(n, node.n_head_kv, group, node.head_dim)
    k, v = (state.values[z].reshape(n, node.n_head_kv, node.head_dim) for z in (node.k, node.v))
    out = np.empty_like(q)
    for start in range(0, n, QUERIES_AT_ONCE):
        queries = slice(start, min(start + QUERIES_AT_ONCE, n))
        age = np.arange(n)[queries, None] - np.arange(queries.stop)
        seen = (age >= 0) & (age < (node.window or n))
        scores = np.einsum("ihgd,jhd->hgij", q[queries], k[: queries.stop], optimize=True) * node.scale
        scores = np.where(seen, scores, -np.inf)
        share = np.exp(scores - scores.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        out[queries] = np.einsum("hgij,jhd->ihgd", share, v[: queries.stop], optimize=True)
    return out.reshape(n, node.width)


def glu(node: Glu, state: Evaluation) -> Floats:
    """activation(gate) * up."""
    return ACTIVATIONS[node.activation](state.values[node.gate]) * state.values[node.up]


def add(node: Add, state: Evaluation) -> Floats:
    """a + b."""
    return state.values[node.a] + state.values[node.b]


def silu(x: Floats) -> Floats:
    """x sigmoid(x), written so that no exponential overflows."""
    y: Floats = 0.5 * x * (1 + np.tanh(x / 2))
    return y


def gelu(x: Floats) -> Floats:
    """The tanh approximation (Hendrycks & Gimpel 2016, arXiv 1606.08415)."""
    y: Floats = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return y


ACTIVATIONS: Final[Mapping[str, Callable[[Floats], Floats]]] = {"silu": silu, "gelu": gelu}

OPERATIONS: Final[Mapping[type[Node], Callable[[Any, Evaluation], Floats]]] = {
    Embed: embed,
    Linear: linear,
    RmsNorm: rms_norm,
    Rope: rope,
    Attention: attention,
    Glu: glu,
    Add: add,
}
