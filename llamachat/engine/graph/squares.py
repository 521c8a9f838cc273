"""What measures values on their way, for importance matrices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph.experts import ExpertLinear
from llamachat.engine.graph.linear import Linear
from llamachat.engine.graph.node import TOKENS, Node, Number, Rows
from llamachat.engine.graph.shapes import floats
from llamachat.engine.state.spec import RecurrentSpec
from llamachat.errors import ShapeError

SQUARES: Final = "squares"


@dataclass(frozen=True, eq=False)
class Squares(Node):
    """x itself; the squares of its columns are added to the sequence's state: float32 [1, width].

    With `chosen`, the experts of pairs, to the row of each pair's expert, [n_expert, width], behind which it is counted
    how many each has: [n_expert]; then x has rows of tokens or of pairs. layer: a number that no other such operation
    of the model has.
    """

    x: Node
    chosen: Node | None
    n_expert: int
    layer: int

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        floats(SQUARES, self.x)
        if self.width != self.x.width or self.n_expert < 1:
            raise ShapeError(f"{self.width} columns of {self.x.width}, {self.n_expert} experts", where=SQUARES)
        if self.chosen is None and self.n_expert > 1:
            raise ShapeError("experts have to be chosen", where=SQUARES)
        if self.chosen is not None and (
            self.chosen.number is not Number.INTEGER or self.x.rows not in (TOKENS, self.chosen.rows)
        ):
            raise ShapeError(f"rows of {self.x.rows.name} have no experts", where=SQUARES)

    @property
    def rows(self) -> Rows:
        """Those of x."""
        return self.x.rows

    @property
    def state(self) -> RecurrentSpec:
        """A sum for each column, of each expert; whole rows."""
        n_counts = -(-self.n_expert // self.width) if self.chosen is not None else 0
        return RecurrentSpec(self.layer, SQUARES, self.n_expert + n_counts, self.width)


@dataclass(frozen=True)
class Measured:
    """A tensor whose inputs are measured: matrix `part` of it, or all its experts, by the operation `by`."""

    tensor: str
    part: int
    n_parts: int
    by: Squares


def measured(nodes: Sequence[Node]) -> tuple[list[Node], list[Measured]]:
    """A forward pass that also sums the squares of what its products read, and which operation does it for a tensor.

    Products that read the same value, with the same choice of experts, share one. The logits stay the same to the bit.
    """
    made: dict[tuple[Node, Node | None], Squares] = {}
    found: list[Node] = []
    tensors: list[Measured] = []
    for node in nodes:
        if isinstance(node, Linear | ExpertLinear):
            chosen = node.chosen if isinstance(node, ExpertLinear) else None
            n_expert = node.weight.shape[0] if chosen is not None else 1
            key = (node.x, chosen)
            if key not in made:
                made[key] = Squares(node.x.width, node.x, chosen, n_expert, len(made))
                found.append(made[key])
            part = node.part if isinstance(node, Linear) else 0
            n_parts = node.weight.shape[0] if isinstance(node, Linear) and len(node.weight.shape) == 3 else 1
            one = Measured(node.weight.name, part, n_parts, made[key])
            if not any((other.tensor, other.part) == (one.tensor, one.part) for other in tensors):
                tensors.append(one)
        found.append(node)
    return found, tensors
