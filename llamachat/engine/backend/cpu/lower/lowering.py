"""`Lowering`: the launches of a program while they are collected, and the memory of values.

Fused operations are computed by their readers; rope and per-head norms work in place where nobody else reads their
input; an activation is quantised once for all products that read it. `TakeRows` divides a forward pass into body and
head: the head computes only rows whose logits are wanted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch

from llamachat.engine.backend.cpu.bias_tables import BiasTables
from llamachat.engine.backend.cpu.cache import CacheLayout
from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import OWN_COUNTS, count_of
from llamachat.engine.backend.cpu.kernels.activations import CopyPanels, Quantize, TakeRows
from llamachat.engine.backend.cpu.kernels.panel import panel_bytes
from llamachat.engine.backend.cpu.kernels.rows import whole_rows
from llamachat.engine.backend.cpu.lookup import Lookup
from llamachat.engine.backend.cpu.program import Arguments, Launch, Region
from llamachat.engine.backend.cpu.tables import Tables
from llamachat.engine.backend.cpu.weights import Weights
from llamachat.engine.graph import PAIRS, TOKENS, Node
from llamachat.engine.plan import Plan
from llamachat.errors import Unsupported


@dataclass(frozen=True)
class Shape:
    """How much a program computes at once: at most `max_tokens` tokens, `columns` of them in a product's registers.

    contiguous: they are consecutive tokens of one sequence (prefill); else each may be of another.
    """

    max_tokens: int
    columns: int
    n_threads: int
    contiguous: bool = False


@dataclass(frozen=True)
class LoweringContext:
    """What programs of a model are made from besides its plan."""

    weights: Weights
    isa: Generic
    cache: CacheLayout
    tables: Tables
    biases: BiasTables
    rows: Lookup
    given: Mapping[Node, Region]
    """Values that a step brings with it."""


@singledispatch
def lower(node: Node, to: Lowering) -> None:
    """Adds the launches that compute a node, and its region; `lower.register` takes a function for an operation.

    Raises Unsupported for an operation without one.
    """
    raise Unsupported(f"the processor's backend does not know the operation {type(node).__name__}")


class Lowering:
    """The launches of a body or a head, in their order, and where values lie."""

    def __init__(self, plan: Plan, context: LoweringContext, shape: Shape) -> None:
        self.plan, self.shape, self._context = plan, shape, context
        self.weights, self.isa = context.weights, context.isa
        self.cache, self.rows = context.cache, context.rows
        self.tables, self.biases = context.tables, context.biases
        self.count_name = "n_tokens"
        self.launches: list[Launch] = []
        self.regions: dict[Node, Region] = dict(context.given)
        self.shared: dict[tuple[object, ...], Region] = {}
        self._scratch = Region(0, private=True)
        self._here: Sequence[Node] = ()

    def body(self, crossing: Mapping[Node, Region], given: Mapping[Node, Region], brought: bool = True) -> list[Launch]:
        """What every token needs, and what the head reads, copied into its regions. given: values that are there.

        brought: whether the step may bring rows with a number of their own; else what the sequence keeps of them is
        read.
        """
        self.regions.update(given)
        absent = frozenset() if brought else self.plan.kept
        self._lower([node for node in self.plan.body if node not in given and node not in absent])
        for node, region in crossing.items():
            counts = {"count": self.count_of(node, "n_outputs"), "total": self.count_of(node)}
            self.launch(TakeRows(), {"x": self.regions[node], "y": region, "stride": self.stride(node.width), **counts})
        return self._finished()

    def head(self, crossing: Mapping[Node, Region], results: Sequence[Node]) -> tuple[list[Launch], list[Region]]:
        """From there to the last of the results, and their regions, which are kept until the next step."""
        self.count_name = "n_outputs"
        self.regions.update(crossing)
        nodes = self.plan.head
        self._lower(nodes[: max(nodes.index(node) + 1 if node in nodes else 0 for node in results)])
        return self._finished(), [self.regions[node] for node in results]

    def alone(self, node: Node) -> tuple[list[Launch], Region]:
        """One operation without inputs, and where its value lies."""
        self._lower([node])
        return self._finished(), self.regions[node]

    def count_of(self, node: Node, name: str = "") -> int:
        """The argument that says how many rows a value has; name: the field that counts tokens, if not this program's.

        See `kernel.count_of`.
        """
        rows = node.rows
        return count_of(
            OWN_COUNTS[self.plan.own_rows.index(rows)] if rows.most else name or self.count_name, rows.times
        )

    def count_of_tokens(self) -> int:
        """The same of tokens."""
        return count_of(self.count_name)

    def most_rows(self, node: Node) -> int:
        """How many rows a value has at most."""
        return node.rows.most or self.shape.max_tokens * node.rows.times

    def for_every_token(self, node: Node) -> None:
        """Raises Unsupported unless the node's rows are all tokens of the step: its kernels look at their positions."""
        if node.rows != TOKENS or self.count_name != "n_tokens":
            name = type(node).__name__
            raise Unsupported(f"the processor's backend computes {name} for all tokens of a step, not for other rows")

    def launch(self, spec: KernelSpec, arguments: Arguments) -> None:
        """Adds a launch."""
        self.launches.append(Launch(spec, arguments))

    def stride(self, width: int) -> int:
        """Bytes from one row of `width` numbers to the next: whole units of rows."""
        return 4 * whole_rows(width)

    def region(self, node: Node) -> Region:
        """New memory for as many rows as a node may have, in whole register blocks of products; pairs also nobody's."""
        return Region(self.stride(node.width) * (self.nobody(node) + (node.rows.name == PAIRS)))

    def nobody(self, node: Node) -> int:
        """The number of the row behind all others, for what products compute and nobody reads."""
        return -(-self.most_rows(node) // self.shape.columns) * self.shape.columns

    def value(self, node: Node) -> Region:
        """New memory for a node's value."""
        region = self.regions[node] = self.region(node)
        return region

    def in_place(self, node: Node, x: Node) -> Region:
        """The memory of x for a node of the same width, where nobody else reads x; else new memory."""
        self.regions[node] = self.regions[x] if self.read_once(x) else self.region(node)
        return self.regions[node]

    def readers(self, node: Node) -> list[Node]:
        """The operations of this body or head that read a value."""
        return [reader for reader in self._here if node in reader.inputs]

    def read_once(self, node: Node) -> bool:
        """Whether a value has one reader, who may write over it."""
        return self.plan.n_readers[node] == 1

    def product_scratch(self, n_bytes: int) -> Region:
        """Memory of each thread that products share one after the other; at least so much of it."""
        self._scratch.n_bytes = max(self._scratch.n_bytes, n_bytes)
        return self._scratch

    def panel(self, x: Node, quantised: bool, columns: int = 0) -> Region:
        """The activations as products read them, made once for all products of x. columns: by default the shape's."""
        columns = columns or self.shape.columns
        if (x, quantised, columns) not in self.shared:
            source = self.regions[x]
            side_by_side = self.most_rows(x) == 1 or self.stride(x.width) == 4 * x.width
            if not quantised and columns == 1 and side_by_side:
                return source
            panel = Region(panel_bytes(x.width, self.most_rows(x), columns))
            spec = Quantize(columns) if quantised else CopyPanels(columns)
            arguments: Arguments = {"x": source, "panels": panel, "count": self.count_of(x), "width": x.width}
            self.launch(spec, {**arguments, "stride": self.stride(x.width)})
            self.shared[x, quantised, columns] = panel
        return self.shared[x, quantised, columns]

    def _lower(self, nodes: Sequence[Node]) -> None:
        self._here = nodes
        for node in nodes:
            if node not in self.plan.fused and node not in self._context.given:
                lower(node, self)

    def _finished(self) -> list[Launch]:
        """The launches, with room for the products' scratch."""
        n_bytes = self._scratch.n_bytes
        self._scratch.n_bytes = n_bytes * self.shape.n_threads
        return [
            Launch(one.spec, {**one.arguments, "room": n_bytes})
            if one.arguments.get("scratch") is self._scratch
            else one
            for one in self.launches
        ]
