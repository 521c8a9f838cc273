"""The operations a forward pass is written in, as small frozen records with their shape rules.

A model's `forward(g, p, w)` calls the methods of `Graph`; the result is a tuple of `Node`s in order of evaluation.
Two readers exist: `reference.py` evaluates the nodes in float64 NumPy, `runtime/lower.py` turns them into launches.
This file knows neither NumPy nor LLVM. Every value is float [n_tokens, width].
"""

from dataclasses import dataclass, field
from typing import Literal

from llamachat.errors import ShapeError

RopeOrder = Literal["adjacent", "halves"]
Activation = Literal["silu", "gelu"]


@dataclass(frozen=True)
class Tensor:
    """A weight of the file: its GGUF name and its shape, rows first (a matrix is [n_out, n_in])."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A tensor `<name>.weight` with its `<name>.bias`; the bias is None where the file has none."""

    weight: Tensor
    bias: Tensor | None = None


@dataclass(frozen=True)
class RopeSpec:
    """Angles of a rotary embedding: position * base^(-2i/n_rot) / scale / factors[i], with YaRN's ramp if ext_factor.

    order: "adjacent" turns pairs (2i, 2i+1), "halves" (i, i + n_rot/2); dimensions from n_rot on stay.
    magnitude multiplies cos and sin. yarn_*: Peng et al. 2023 (arXiv 2309.00071), as in llama.cpp's `rope_yarn`;
    yarn_original is the original context length, 0 means no YaRN.
    """

    n_rot: int
    base: float
    order: RopeOrder
    scale: float = 1.0
    factors: Tensor | None = None
    magnitude: float = 1.0
    yarn_original: int = 0
    yarn_beta_fast: float = 32.0
    yarn_beta_slow: float = 1.0


@dataclass(frozen=True, eq=False)
class Node:
    """A value: float [n_tokens, width]. Compared by identity."""

    width: int


@dataclass(frozen=True, eq=False)
class Embed(Node):
    """Rows of `table` [n_vocab, width] chosen by the token ids, times `factor`."""

    table: Tensor
    factor: float


@dataclass(frozen=True, eq=False)
class Linear(Node):
    """x W^T + bias; weight [width, x.width]."""

    x: Node
    weight: Tensor
    bias: Tensor | None


@dataclass(frozen=True, eq=False)
class RmsNorm(Node):
    """x / sqrt(mean(x^2) + eps) * weight over every group of `size` neighbours; weight [size] serves every group."""

    x: Node
    weight: Tensor
    eps: float
    size: int


@dataclass(frozen=True, eq=False)
class Rope(Node):
    """x seen as heads of `head_dim`, each turned by its token's position."""

    x: Node
    spec: RopeSpec
    head_dim: int


@dataclass(frozen=True, eq=False)
class Attention(Node):
    """softmax(q k^T * scale) v over the sequence's keys up to the token itself; k and v go into cache `layer`.

    q [n_tokens, n_head*head_dim], k and v [n_tokens, n_head_kv*head_dim]; n_head/n_head_kv heads share a k/v head.
    window w > 0: a query at position p sees keys with p - key < w.
    """

    q: Node
    k: Node
    v: Node
    layer: int
    n_head: int
    n_head_kv: int
    head_dim: int
    scale: float
    window: int


@dataclass(frozen=True, eq=False)
class Glu(Node):
    """activation(gate) * up. silu: x sigmoid(x); gelu: tanh approximation (Hendrycks & Gimpel 2016)."""

    gate: Node
    up: Node
    activation: Activation


@dataclass(frozen=True, eq=False)
class Add(Node):
    """a + b."""

    a: Node
    b: Node


@dataclass
class Graph:
    """Builds a forward pass; each method checks widths, appends one node and returns it."""

    nodes: list[Node] = field(default_factory=list)

    def embed(self, table: Layer, factor: float = 1.0) -> Node:
        """Rows of the table chosen by the token ids, times factor."""
        return self._keep(Embed(table.weight.shape[1], table.weight, factor))

    def linear(self, x: Node, layer: Layer) -> Node:
        """x W^T + bias."""
        n_out, n_in = layer.weight.shape
        _same(n_in, x.width, layer.weight.name)
        return self._keep(Linear(n_out, x, layer.weight, layer.bias))

    def rms_norm(self, x: Node, layer: Layer, eps: float) -> Node:
        """RMS norm over every group of as many neighbours as the weight has values."""
        (size,) = layer.weight.shape
        _same(x.width % size, 0, layer.weight.name)
        return self._keep(RmsNorm(x.width, x, layer.weight, eps, size))

    def rope(self, x: Node, spec: RopeSpec, head_dim: int) -> Node:
        """Each head of x turned by its position."""
        if spec.n_rot > head_dim or spec.n_rot % 2 or x.width % head_dim:
            raise ShapeError(f"rope of {spec.n_rot} dimensions does not fit heads of {head_dim} in {x.width}")
        return self._keep(Rope(x.width, x, spec, head_dim))

    def attention(
        self,
        q: Node,
        k: Node,
        v: Node,
        *,
        layer: int,
        n_head: int,
        n_head_kv: int,
        scale: float,
        window: int = 0,
    ) -> Node:
        """Causal attention with grouped heads over cache `layer`; window 0 sees everything."""
        head_dim = q.width // n_head
        if n_head % n_head_kv:
            raise ShapeError(f"{n_head} heads cannot share {n_head_kv} key/value heads")
        _same(q.width, n_head * head_dim, f"q of layer {layer}")
        _same(k.width, n_head_kv * head_dim, f"k of layer {layer}")
        _same(v.width, n_head_kv * head_dim, f"v of layer {layer}")
        return self._keep(Attention(q.width, q, k, v, layer, n_head, n_head_kv, head_dim, scale, window))

    def glu(self, gate: Node, up: Node, activation: Activation) -> Node:
        """activation(gate) * up."""
        _same(gate.width, up.width, "glu")
        return self._keep(Glu(up.width, gate, up, activation))

    def add(self, a: Node, b: Node) -> Node:
        """a + b."""
        _same(a.width, b.width, "add")
        return self._keep(Add(a.width, a, b))

    def _keep(self, node: Node) -> Node:
        self.nodes.append(node)
        return node


def _same(found: int, expected: int, where: str) -> None:
    if found != expected:
        raise ShapeError(f"width {found} where {expected} is needed", where=where)
