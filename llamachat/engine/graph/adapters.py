"""What adapters add to a model that stays as it is: products of low rank, and directions."""

from dataclasses import dataclass

from llamachat.engine.graph.node import Node, Number, Role, Tensor, Use
from llamachat.engine.graph.shapes import floats, same_rows, same_width
from llamachat.errors import ShapeError


@dataclass(frozen=True, eq=False)
class LowRank(Node):
    """base + B (factors * A x) (LoRA: Hu et al. 2021, arXiv 2106.09685).

    down: A [rank, x.width]; up: B [width, rank]; factors: [rank]. With `chosen`, int32 numbers of experts for the rows
    of base, each expert has its own A and B: [n_expert, rank, x.width] and [n_expert, width, rank]; x may then have a
    row for all pairs of a token.
    """

    base: Node
    x: Node
    down: Tensor
    up: Tensor
    factors: Tensor
    chosen: Node | None = None

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        (*experts, rank, width), name = self.down.shape, self.down.name
        same_width(width, self.x.width, name)
        if self.up.shape != (*experts, self.base.width, rank) or self.factors.shape != (rank,):
            raise ShapeError(f"A {self.down.shape} and B {self.up.shape} do not fit each other", where=name)
        same_width(self.width, self.base.width, name)
        floats(name, self.base, self.x)
        if self.chosen is None:
            same_rows(self.base, self.x, name)
        else:
            same_rows(self.base, self.chosen, name)
        if (self.chosen is None) == bool(experts) or (self.chosen and self.chosen.number is not Number.INTEGER):
            raise ShapeError("experts and their numbers belong together", where=name)

    @property
    def weights(self) -> tuple[Use, ...]:
        """A, B and the factors."""
        share = 1.0 if self.chosen is None else min(1.0, self.base.rows.times / self.down.shape[0])
        factors = Use(self.factors, Role.BESIDE)
        return (Use(self.down, Role.DOWN, share), Use(self.up, Role.UP, share), factors)

    @property
    def operations(self) -> int:
        """A multiplication and an addition for each weight that a row reads."""
        return 2 * self.down.shape[-2] * (self.width + self.x.width)


@dataclass(frozen=True, eq=False)
class Direction(Node):
    """x + direction [width] (control vectors: Zou et al. 2023, arXiv 2310.01405)."""

    x: Node
    direction: Tensor

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        same_width(self.direction.shape[0], self.x.width, self.direction.name)
        floats(self.direction.name, self.x)

    @property
    def weights(self) -> tuple[Use, ...]:
        """The direction."""
        return (Use(self.direction, Role.BESIDE),)
