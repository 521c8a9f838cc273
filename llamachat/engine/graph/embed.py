"""Embeddings of tokens and of positions."""

from dataclasses import dataclass

from llamachat.engine.graph.node import Node, Role, Tensor, Use
from llamachat.engine.graph.shapes import floats, same_width


@dataclass(frozen=True, eq=False)
class Embed(Node):
    """Rows of `table` [n_vocab, width] chosen by the token ids, times `factor`."""

    table: Tensor
    factor: float

    @property
    def weights(self) -> tuple[Use, ...]:
        """The table."""
        return (Use(self.table, Role.TABLE),)


@dataclass(frozen=True, eq=False)
class AddPositions(Node):
    """x + the rows of `table` [n_positions, width] at the tokens' positions."""

    x: Node
    table: Tensor

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        same_width(self.table.shape[-1], self.x.width, self.table.name)
        floats(self.table.name, self.x)

    @property
    def weights(self) -> tuple[Use, ...]:
        """The table, read whole: it is small, and rows are chosen by numbers that only the step knows."""
        return (Use(self.table, Role.VECTOR),)

    @property
    def adds_positions(self) -> bool:
        """That is what it does."""
        return True

    @property
    def n_positions(self) -> int:
        """Positions that the table has."""
        return self.table.shape[0]
