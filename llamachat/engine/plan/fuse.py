"""What may be computed together: a product or norm with the addition behind it, a product with its gate.

A backend that cannot do it computes the parts one after the other; the meaning is the same.
"""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal

from llamachat.engine.graph import Add, ExpertLinear, Glu, Linear, Mixture, Node, Norm


@dataclass(frozen=True)
class Fusion:
    """`part` is computed as the last step of its only reader, whose other operand is `other`."""

    part: Node
    other: Node
    kind: Literal["residual", "gate"]


def fusions(nodes: Sequence[Node], before: Set[Node], n_readers: Mapping[Node, int]) -> dict[Node, Fusion]:
    """{reader: what is computed with it}; both stand on the same side of the border (`before`: the body's nodes)."""
    found = {}
    for node in nodes:
        for fusion in _candidates(node):
            part = fusion.part
            if n_readers[part] == 1 and (part in before) == (node in before):
                found[node] = fusion
                break
    return found


def _candidates(node: Node) -> list[Fusion]:
    """What could be computed with a node, the best first."""
    if isinstance(node, Add):
        pairs = ((node.b, node.a), (node.a, node.b))
        return [Fusion(part, other, "residual") for part, other in pairs if _takes_residual(part)]
    if isinstance(node, Glu) and isinstance(node.up, Linear | ExpertLinear):
        return [Fusion(node.up, node.gate, "gate")]
    return []


def _takes_residual(part: Node) -> bool:
    """A product, a mixture, or a norm over whole rows."""
    return isinstance(part, Linear | Mixture) or (isinstance(part, Norm) and part.size == part.width)


def readers(nodes: Sequence[Node]) -> Counter[Node]:
    """How many nodes read each value."""
    return Counter(value for node in nodes for value in node.inputs)
