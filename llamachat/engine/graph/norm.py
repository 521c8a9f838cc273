"""Normalisation of rows."""

from dataclasses import dataclass
from typing import Literal

from llamachat.engine.graph.node import Node, Role, Tensor, Use
from llamachat.engine.graph.shapes import floats, same_width

NormKind = Literal["rms", "layer", "l2"]


@dataclass(frozen=True, eq=False)
class Norm(Node):
    """Every group of `size` neighbours, normed, times weight, plus bias, where there are such.

    rms: x / sqrt(mean(x^2) + eps) (Zhang & Sennrich 2019, arXiv 1910.07467); layer: (x - mean) / sqrt(variance + eps)
    (Ba et al. 2016, arXiv 1607.06450); l2: x / max(sqrt(sum(x^2)), eps). weight, bias: `size` values that serve every
    group, or `width` of them, for each group its own.
    """

    x: Node
    kind: NormKind
    weight: Tensor | None
    bias: Tensor | None
    eps: float
    size: int

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        where = self.weight.name if self.weight is not None else f"{self.kind} norm"
        same_width(self.x.width, self.width, where)
        same_width(self.x.width % self.size, 0, where)
        for vector in (self.weight, self.bias):
            if vector is not None and _count(vector) != self.size:
                same_width(_count(vector), self.width, vector.name)
        floats(where, self.x)

    @property
    def weights(self) -> tuple[Use, ...]:
        """The weight and the bias that there are."""
        return tuple(Use(vector, Role.VECTOR) for vector in (self.weight, self.bias) if vector is not None)

    def each_its_own(self, vector: Tensor) -> bool:
        """Whether every group has values of its own in a vector."""
        return _count(vector) != self.size


def _count(vector: Tensor) -> int:
    n = 1
    for size in vector.shape:
        n *= size
    return n
