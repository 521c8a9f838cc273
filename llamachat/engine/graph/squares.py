"""What measures values on their way, for importance matrices."""

from dataclasses import dataclass
from typing import Final

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
