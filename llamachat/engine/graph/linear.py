"""Products with matrices."""

from dataclasses import dataclass

from llamachat.engine.graph.node import Node, Role, Tensor, Use
from llamachat.engine.graph.shapes import floats, same_width
from llamachat.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Linear(Node):
    """(x W^T * scale + bias) * factor; scale [1] of the file, factor a constant.

    weight: [width, x.width], or [n, width, x.width], of which `part` says which matrix it is.
    """

    x: Node
    weight: Tensor
    bias: Tensor | None
    part: int = 0
    scale: Tensor | None = None
    factor: float = 1.0

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        *parts, n_rows, n_columns = self.weight.shape
        same_width(n_columns, self.x.width, self.weight.name)
        same_width(n_rows, self.width, self.weight.name)
        if len(parts) > 1 or not 0 <= self.part < max(1, *parts, 1):
            raise ShapeError(f"there is no matrix {self.part} in {list(self.weight.shape)}", where=self.weight.name)
        floats(self.weight.name, self.x)

    @property
    def weights(self) -> tuple[Use, ...]:
        """The matrix, and the scale and the bias if there are any."""
        vectors = (Use(one, Role.VECTOR) for one in (self.scale, self.bias) if one is not None)
        return (Use(self.weight, Role.MATRIX if len(self.weight.shape) == 2 else Role.EXPERTS), *vectors)

    @property
    def operations(self) -> int:
        """A multiplication and an addition for each weight."""
        return 2 * self.width * self.x.width
