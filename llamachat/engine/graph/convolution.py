"""What looks at a row and the few before it: a short causal convolution, and a token shift."""

from dataclasses import dataclass

from llamachat.engine.graph.node import Node, Role, Tensor, Use
from llamachat.engine.graph.shapes import floats, same_width
from llamachat.engine.state.spec import RecurrentSpec


@dataclass(frozen=True, eq=False)
class Convolution(Node):
    """y[t] = sum over j of weight[:, j] * x[t - kernel + 1 + j], plus bias, each column on its own.

    weight [width, kernel]; x is zero before the text; with `silu` the sum goes through x sigmoid(x). The state
    is the last kernel - 1 rows of x.
    """

    x: Node
    weight: Tensor
    bias: Tensor | None
    silu: bool
    layer: int

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        same_width(self.x.width, self.width, self.weight.name)
        same_width(self.weight.shape[0], self.width, self.weight.name)
        floats(self.weight.name, self.x)

    @property
    def kernel(self) -> int:
        """Rows that one sees, itself among them."""
        return self.weight.shape[1]

    @property
    def weights(self) -> tuple[Use, ...]:
        """The kernel of every column, and the bias if there is one."""
        bias = (Use(self.bias, Role.VECTOR),) if self.bias is not None else ()
        return (Use(self.weight, Role.CONVOLUTION), *bias)

    @property
    def operations(self) -> int:
        """A multiplication and an addition for each weight."""
        return 2 * self.width * self.kernel

    @property
    def state(self) -> RecurrentSpec:
        """The rows before."""
        return RecurrentSpec(self.layer, "convolution", self.kernel - 1, self.width)


@dataclass(frozen=True, eq=False)
class Shift(Node):
    """y[t] = x[t - 1], zero before the text: a token shift (Peng et al. 2023, arXiv 2305.13048). name: its state's."""

    x: Node
    layer: int
    name: str

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        same_width(self.x.width, self.width, self.name)
        floats(self.name, self.x)

    @property
    def state(self) -> RecurrentSpec:
        """The row before."""
        return RecurrentSpec(self.layer, self.name, 1, self.width)
