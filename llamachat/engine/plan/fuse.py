"""What may be computed together: a product or norm with what reads it, a fused product as its parts.

A backend that cannot do it computes the parts one after the other; the meaning is the same.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal

from llamachat.engine.graph import Add, Columns, ExpertLinear, Glu, Linear, Mixture, Node, Norm

Kind = Literal["residual", "gate", "columns"]


@dataclass(frozen=True)
class Fusion:
    """`part` is computed as the last step of its reader, whose other operand, if it has two, is `other`.

    columns: readers of a product that want some of its columns each; each computes its own, and nobody all of them.
    Else the reader is the only one. What wants columns may be the part of another fusion itself.
    """

    part: Node
    other: Node | None
    kind: Kind


def fusions(nodes: Sequence[Node], before: Set[Node], n_readers: Mapping[Node, int]) -> dict[Node, Fusion]:
    """{reader: what is computed with it}; both stand on the same side of the border (`before`: the body's nodes)."""
    found = dict(_slices(nodes, before, n_readers))
    for node in nodes:
        for fusion in _candidates(node, found):
            part = fusion.part
            if n_readers[part] == 1 and (part in before) == (node in before):
                found[node] = fusion
                break
    return found


def _slices(nodes: Sequence[Node], before: Set[Node], n_readers: Mapping[Node, int]) -> Iterator[tuple[Node, Fusion]]:
    """Products of which nothing is wanted but slices, on their side of the border."""
    slices: dict[Node, list[Node]] = {}
    for node in nodes:
        if isinstance(node, Columns) and isinstance(node.x, Linear) and node.size == node.x.width:
            slices.setdefault(node.x, []).append(node)
    for part, wanted in slices.items():
        if len(wanted) == n_readers[part] and all((one in before) == (part in before) for one in wanted):
            yield from ((one, Fusion(part, None, "columns")) for one in wanted)


def _candidates(node: Node, found: Mapping[Node, Fusion]) -> list[Fusion]:
    """What could be computed with a node, the best first."""
    if isinstance(node, Add):
        pairs = ((node.b, node.a), (node.a, node.b))
        return [Fusion(part, other, "residual") for part, other in pairs if _takes_residual(part)]
    if isinstance(node, Glu) and (
        isinstance(node.up, Linear | ExpertLinear) or (node.up in found and isinstance(node.up, Columns))
    ):
        return [Fusion(node.up, node.gate, "gate")]
    return []


def _takes_residual(part: Node) -> bool:
    """A product, a mixture, or a norm over whole rows."""
    return isinstance(part, Linear | Mixture) or (isinstance(part, Norm) and part.size == part.width)


def readers(nodes: Sequence[Node]) -> Counter[Node]:
    """How many nodes read each value."""
    return Counter(value for node in nodes for value in node.inputs)
