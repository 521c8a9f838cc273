"""Operations number by number."""

from dataclasses import dataclass
from typing import Literal

from llamachat.engine.graph.node import Node
from llamachat.engine.graph.shapes import floats, same_rows, same_width

Activation = Literal["silu", "gelu"]


@dataclass(frozen=True, eq=False)
class Glu(Node):
    """activation(gate) * up. silu: x sigmoid(x); gelu: tanh approximation (Hendrycks & Gimpel 2016)."""

    gate: Node
    up: Node
    activation: Activation

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        same_width(self.gate.width, self.up.width, "glu")
        same_rows(self.gate, self.up, "glu")
        floats("glu", self.gate, self.up)


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
