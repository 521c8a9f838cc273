"""Recurrences whose state has a fixed size: state-space models and the gated delta rule.

A head's state is a matrix S [n_key, n_value], zero before the text. Every step fades it, adds an outer product of a
key and a value, and reads it with a query. Columns of S do not see each other.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph.node import Node, Role, Tensor, Use
from llamachat.engine.graph.shapes import floats, same_rows, same_width
from llamachat.engine.state.spec import RecurrentSpec
from llamachat.errors import ShapeError

SCAN: Final = "scan"
"""The state's name: a layer has one such recurrence."""


@dataclass(frozen=True, eq=False)
class Steps(Node):
    """Of every head's x its step d = softplus(x + bias) and its decay exp(d * a), all steps first: [2 * x.width]."""

    x: Node
    bias: Tensor
    a: Tensor

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        same_width(self.width, 2 * self.x.width, self.a.name)
        vectors(self.x.width, self.bias, self.a)
        floats(self.a.name, self.x)

    @property
    def weights(self) -> tuple[Use, ...]:
        """A number for each head of both."""
        return (Use(self.bias, Role.VECTOR), Use(self.a, Role.VECTOR))


@dataclass(frozen=True, eq=False)
class SelectiveScan(Node):
    """Mamba's scan (Gu & Dao 2023, arXiv 2312.00752); every column is a head with one value.

    d = softplus(step); S = S * exp(d * a) + b * (d * x); y = S c + skip * x. x, step [width], b, c [n_state];
    a [width, n_state], skip [width].
    """

    x: Node
    step: Node
    b: Node
    c: Node
    a: Tensor
    skip: Tensor
    layer: int

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        where = self.a.name
        for value, width in ((self.x, self.width), (self.step, self.width), (self.c, self.b.width)):
            same_width(value.width, width, where)
            same_rows(value, self.x, where)
        if self.a.shape != (self.width, self.b.width):
            raise ShapeError(f"the shape is {list(self.a.shape)}, must be {[self.width, self.b.width]}", where=where)
        vectors(self.width, self.skip)
        floats(where, self.x, self.step, self.b, self.c)

    @property
    def weights(self) -> tuple[Use, ...]:
        """Decays and skips."""
        return (Use(self.a, Role.VECTOR), Use(self.skip, Role.VECTOR))

    @property
    def state(self) -> RecurrentSpec:
        """n_state numbers for every column."""
        return RecurrentSpec(self.layer, SCAN, self.b.width, self.width)


@dataclass(frozen=True, eq=False)
class HeadScan(Node):
    """Mamba 2's scan (Dao & Gu 2024, arXiv 2405.21060): a head's columns fade alike, a group of heads shares b and c.

    S = S * decay + b (d * x)^T; y = S^T c + skip * x. x [n_head * head_dim], steps [2 * n_head] as `Steps` makes
    them, b, c [n_group * n_state], skip [n_head].
    """

    x: Node
    steps: Node
    b: Node
    c: Node
    skip: Tensor
    n_head: int
    n_group: int
    layer: int

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        where = self.skip.name
        for value, width in ((self.x, self.width), (self.steps, 2 * self.n_head), (self.c, self.b.width)):
            same_width(value.width, width, where)
            same_rows(value, self.x, where)
        evenly = not (self.width % self.n_head or self.n_head % self.n_group or self.b.width % self.n_group)
        if not evenly:
            raise ShapeError(f"{self.n_head} heads of {self.width} columns and {self.n_group} groups", where=where)
        vectors(self.n_head, self.skip)
        floats(where, self.x, self.steps, self.b, self.c)

    @property
    def n_state(self) -> int:
        """Numbers that a column keeps."""
        return self.b.width // self.n_group

    @property
    def weights(self) -> tuple[Use, ...]:
        """The skips."""
        return (Use(self.skip, Role.VECTOR),)

    @property
    def state(self) -> RecurrentSpec:
        """n_state numbers for every column."""
        return RecurrentSpec(self.layer, SCAN, self.n_state, self.width)


@dataclass(frozen=True, eq=False)
class DeltaRule(Node):
    """The gated delta rule (Yang et al. 2024, arXiv 2412.06464).

    S = S * decay; S = S + k (beta * (v - S^T k))^T; y = S^T q * scale. q, k [n_head_k * key_dim], v [n_head *
    value_dim], steps [2 * n_head] as `Steps` makes them (only the decays count), beta [n_head]. Head h has the key of
    head h % n_head_k; with `repeats` that of head h * n_head_k / n_head.
    """

    q: Node
    k: Node
    v: Node
    steps: Node
    beta: Node
    n_head: int
    n_head_k: int
    scale: float
    layer: int
    repeats: bool = False

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        where = f"delta rule of layer {self.layer}"
        widths = ((self.v, self.width), (self.q, self.k.width), (self.steps, 2 * self.n_head), (self.beta, self.n_head))
        for value, width in widths:
            same_width(value.width, width, where)
            same_rows(value, self.k, where)
        if self.width % self.n_head or self.n_head % self.n_head_k or self.k.width % self.n_head_k:
            raise ShapeError(f"{self.n_head} heads cannot share {self.n_head_k} keys of {self.k.width}", where=where)
        floats(where, self.q, self.k, self.v, self.steps, self.beta)

    @property
    def key_dim(self) -> int:
        """Numbers of a key."""
        return self.k.width // self.n_head_k

    @property
    def state(self) -> RecurrentSpec:
        """key_dim numbers for every column."""
        return RecurrentSpec(self.layer, SCAN, self.key_dim, self.width)


def vectors(count: int, *tensors: Tensor) -> None:
    """Raises ShapeError unless each tensor has so many values."""
    for tensor in tensors:
        found = 1
        for size in tensor.shape:
            found *= size
        same_width(found, count, tensor.name)
