"""Operations number by number."""

from dataclasses import dataclass
from typing import Final, Literal, get_args

from llamachat.engine.graph.node import Node, Role, Tensor, Use
from llamachat.engine.graph.shapes import floats, same_rows, same_width
from llamachat.errors import ShapeError

Activation = Literal["silu", "gelu", "relu", "relu2", "sigmoid", "tanh", "softplus", "exp"]
"""silu: x sigmoid(x); gelu: tanh approximation (Hendrycks & Gimpel 2016); relu2: max(x, 0)^2; softplus: ln(1 + e^x)."""

ACTIVATIONS: Final = frozenset(get_args(Activation))


@dataclass(frozen=True, eq=False)
class Glu(Node):
    """activation(gate) * up."""

    gate: Node
    up: Node
    activation: Activation

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        same_width(self.gate.width, self.up.width, "glu")
        same_rows(self.gate, self.up, "glu")
        floats("glu", self.gate, self.up)
        _known(self.activation)


@dataclass(frozen=True, eq=False)
class Unary(Node):
    """activation(x)."""

    x: Node
    activation: Activation

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        floats(self.activation, self.x)
        _known(self.activation)


@dataclass(frozen=True, eq=False)
class Add(Node):
    """a + b."""

    a: Node
    b: Node

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        same_width(self.a.width, self.b.width, "add")
        same_rows(self.a, self.b, "add")
        floats("add", self.a, self.b)


@dataclass(frozen=True, eq=False)
class Mul(Node):
    """a * b; b may have one column, which multiplies all of a's."""

    a: Node
    b: Node

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        if self.b.width != 1:
            same_width(self.a.width, self.b.width, "mul")
        same_rows(self.a, self.b, "mul")
        floats("mul", self.a, self.b)


@dataclass(frozen=True, eq=False)
class Scale(Node):
    """x * factor + offset, both constants of the model."""

    x: Node
    factor: float
    offset: float = 0.0

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        floats("scale", self.x)


@dataclass(frozen=True, eq=False)
class Clamp(Node):
    """x, at least low and at most high."""

    x: Node
    low: float
    high: float

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        floats("clamp", self.x)


@dataclass(frozen=True, eq=False)
class SoftCap(Node):
    """cap * tanh(x / cap) (Bello et al. 2016, arXiv 1611.09940); cap > 0."""

    x: Node
    cap: float

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        floats("soft cap", self.x)
        if not self.cap > 0:
            raise ShapeError(f"a cap must be positive, not {self.cap}", where="soft cap")


@dataclass(frozen=True, eq=False)
class _WithVector(Node):
    """x and a vector of the file, the same for every row: row `row` of it, of x.width values, or its only value."""

    x: Node
    vector: Tensor
    row: int = 0

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        floats(self.vector.name, self.x)
        if self.vector.shape not in ((), (1,)):
            same_width(self.vector.shape[-1], self.x.width, self.vector.name)
            if not 0 <= self.row < max(1, *self.vector.shape[:-1], 1):
                raise ShapeError(f"there is no row {self.row}", where=self.vector.name)

    @property
    def weights(self) -> tuple[Use, ...]:
        """The vector."""
        return (Use(self.vector, Role.VECTOR),)

    @property
    def is_one_value(self) -> bool:
        """Whether one value serves all columns."""
        return self.vector.shape in ((), (1,))


@dataclass(frozen=True, eq=False)
class AddVector(_WithVector):
    """x + vector: a bias apart from its product, the embedding of a token type (one row of a table)."""


@dataclass(frozen=True, eq=False)
class MulVector(_WithVector):
    """x * vector; one value serves all columns (`.scale` of a matrix)."""


def _known(activation: str) -> None:
    if activation not in ACTIVATIONS:
        raise ShapeError(f"is none of {', '.join(sorted(ACTIVATIONS))}", where=f"activation {activation}")
