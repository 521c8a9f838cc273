"""A forward pass with the operations of adapters between its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from llamachat.engine.graph import Add, Direction, ExpertLinear, Graph, Linear, LowRank, Node, Scale, Tensor
from llamachat.engine.plan.fuse import readers

Part = tuple[int, int]
"""The first row of a matrix, and how many."""


@dataclass(frozen=True)
class Addition:
    """What is added to the products with a matrix, see `LowRank`; up: by `Product.part`."""

    down: Tensor
    up: Mapping[Part, Tensor]
    factors: Tensor


@dataclass(frozen=True)
class Product:
    """An operation to which something of low rank can be added. part: which rows of the weight it multiplies with.

    scale: numbers of the file, [1] or [n_expert], that multiply the product, and with it what is added.
    """

    x: Node
    weight: Tensor
    part: Part
    chosen: Node | None = None
    scale: Tensor | None = None

    @classmethod
    def of(cls, node: Node) -> Product | None:
        """Of any operation."""
        if isinstance(node, Linear) and len(node.weight.shape) == 2:
            return cls(node.x, node.weight, (0, node.width), scale=node.scale)
        if isinstance(node, ExpertLinear):
            return cls(node.x, node.weight, (node.first, node.width), node.chosen, node.scale)
        return None


def products(nodes: Iterable[Node]) -> dict[str, list[Product]]:
    """{matrix: the products with it} of all to which something of low rank can be added."""
    found: dict[str, list[Product]] = {}
    for node in nodes:
        if product := Product.of(node):
            found.setdefault(product.weight.name, []).append(product)
    return found


def weave(graph: Graph, additions: Mapping[str, Addition], directions: Mapping[int, Tensor]) -> Sequence[Node]:
    """The operations with additions to products (by the matrices' names) and directions behind layers.

    Where an addition follows a product that nobody else reads, the one of low rank comes behind it: backends compute
    the product and the addition in one.
    """
    if not additions and not directions:
        return graph.nodes
    return _Weaver(graph, additions, directions).nodes()


class _Weaver:
    """The operations that are new so far, by the ones in whose place they stand."""

    def __init__(self, graph: Graph, additions: Mapping[str, Addition], directions: Mapping[int, Tensor]) -> None:
        self._graph, self._additions = graph, additions
        self._directions = {graph.layer_ends[layer]: tensor for layer, tensor in directions.items()}
        self._new: dict[Node, Node] = {}
        self._nodes: list[Node] = []
        self._later: dict[Node, list[Product]] = {}

    def nodes(self) -> list[Node]:
        n_readers = readers(self._graph.nodes)
        follows = {value: node for node in self._graph.nodes for value in node.inputs}
        for node in self._graph.nodes:
            product = self._changed(node)
            factor = node.factor if isinstance(node, Linear) and product is not None else 1.0
            plain = replace(node, factor=1.0) if isinstance(node, Linear) and factor != 1 else node
            self._take(node, self._renewed(plain))
            for later in self._later.get(node, ()):
                self._add(node, later)
            if product is not None:
                reader = follows.get(node)
                if n_readers[node] == 1 and isinstance(reader, Add) and isinstance(node, Linear) and factor == 1:
                    self._later.setdefault(reader, []).append(product)
                else:
                    self._add(node, product)
            if factor != 1:
                self._take(node, Scale(node.width, self._new[node], factor))
            if node in self._directions:
                value = self._new[node]
                self._take(node, Direction(value.width, value, self._directions[node]))
        return self._nodes

    def _changed(self, node: Node) -> Product | None:
        """The product that a node is, if an adapter changes it."""
        product = Product.of(node)
        return product if product is not None and product.weight.name in self._additions else None

    def _add(self, place: Node, product: Product) -> None:
        """The addition of a product, behind the value that stands in place of `place`."""
        base, own = self._new[place], self._additions[product.weight.name]
        x, chosen = self._new[product.x], self._of(product.chosen)
        self._take(place, LowRank(base.width, base, x, own.down, own.up[product.part], own.factors, chosen))

    def _take(self, old: Node, new: Node) -> None:
        self._nodes.append(new)
        self._new[old] = new

    def _renewed(self, node: Node) -> Node:
        """The operation with the new values as operands; itself where they are the old ones."""
        changed: dict[str, Any] = {}
        for field in fields(node):
            value = getattr(node, field.name)
            found = self._of(value)
            if found is not value:
                changed[field.name] = found
        return replace(node, **changed) if changed else node

    def _of(self, value: Any) -> Any:
        if isinstance(value, Node):
            return self._new.get(value, value)
        if isinstance(value, tuple) and any(isinstance(one, Node) for one in value):
            found = tuple(map(self._of, value))
            return found if any(a is not b for a, b in zip(found, value, strict=True)) else value
        return value
