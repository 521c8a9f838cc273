"""Products with matrices."""

from dataclasses import dataclass

from llamachat.engine.graph.node import Node, Role, Tensor, Use
from llamachat.engine.graph.shapes import floats, same_width


@dataclass(frozen=True, eq=False)
class Linear(Node):
    """x W^T + bias; weight [width, x.width]."""

    x: Node
    weight: Tensor
    bias: Tensor | None

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        same_width(self.weight.shape[1], self.x.width, self.weight.name)
        floats(self.weight.name, self.x)

    @property
    def weights(self) -> tuple[Use, ...]:
        """The matrix, and the bias if there is one."""
        bias = (Use(self.bias, Role.VECTOR),) if self.bias is not None else ()
        return (Use(self.weight, Role.MATRIX), *bias)

    @property
    def operations(self) -> int:
        """A multiplication and an addition for each weight."""
        return 2 * self.width * self.x.width
