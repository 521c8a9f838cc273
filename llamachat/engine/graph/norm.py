"""Normalisation of rows."""

from dataclasses import dataclass

from llamachat.engine.graph.node import Node, Role, Tensor, Use
from llamachat.engine.graph.shapes import floats, same_width


@dataclass(frozen=True, eq=False)
class RmsNorm(Node):
    """x / sqrt(mean(x^2) + eps) * weight over every group of `size` neighbours; weight [size] serves every group."""

    x: Node
    weight: Tensor
    eps: float
    size: int

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        same_width(self.x.width % self.size, 0, self.weight.name)
        floats(self.weight.name, self.x)

    @property
    def weights(self) -> tuple[Use, ...]:
        """The weight of a group."""
        return (Use(self.weight, Role.VECTOR),)
