"""A forward pass that also sums the squares of what its products read, for importance matrices."""

from collections.abc import Sequence
from dataclasses import dataclass

from llamachat.engine.graph import ExpertLinear, Linear, Node, Squares


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
