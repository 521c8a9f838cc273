"""From a graph of operations to launches: which kernel computes what, where it lies, and what is fused.

Fused: a residual or gate goes into its product's last step; a residual into a norm; rope and per-head norms work in
place; an activation is quantised once for all products that read it. After the last attention only the rows whose
logits are wanted go on: `TakeRows` divides a forward pass into body and head.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llamachat.engine import graph as g
from llamachat.engine.jit.compiler import KernelSpec
from llamachat.engine.jit.isa.generic import Generic
from llamachat.engine.kernels.activations import CopyPanels, Elementwise, Quantize, TakeRows
from llamachat.engine.kernels.attention import Attention, AttentionMerge, AttentionParts
from llamachat.engine.kernels.attention_item import Heads, part_bytes
from llamachat.engine.kernels.cache import CHUNK, StoreKeys, StoreValues
from llamachat.engine.kernels.embed import Embed
from llamachat.engine.kernels.matmul import MODES, UNIT
from llamachat.engine.kernels.norm import RmsNorm
from llamachat.engine.kernels.panel import panel_bytes
from llamachat.engine.kernels.rope import Rope
from llamachat.engine.runtime.cache import CacheLayout
from llamachat.engine.runtime.lookup import Lookup
from llamachat.engine.runtime.program import Arguments, Launch, Region
from llamachat.engine.runtime.rope_tables import RopeTables
from llamachat.engine.runtime.weights import Weights
from llamachat.engine.runtime.workers import Step

DIRECT_PANELS = 4
# Query rows of an item of attention: enough for every instruction set's register block.
QUERY_ROWS = 12


@dataclass(frozen=True)
class Shape:
    """How much a program computes at once: at most `max_tokens` tokens, `columns` of them in a product's registers.

    run: they are neighbours of one sequence; else each may be of another.
    """

    max_tokens: int
    columns: int
    n_threads: int
    run: bool = False

    @property
    def direct(self) -> bool:
        """Whether products unpack weights in registers: for so few tokens it does not pay to keep them unpacked."""
        return self.max_tokens <= DIRECT_PANELS * self.columns


@dataclass(frozen=True)
class Surroundings:
    """What programs of a model are made from besides its nodes."""

    weights: Weights
    isa: Generic
    cache: CacheLayout
    tables: RopeTables
    rows: Lookup


class Lowering:
    """Turns nodes into launches, in their order."""

    def __init__(self, nodes: Sequence[g.Node], around: Surroundings, shape: Shape) -> None:
        self.nodes, self.weights, self.isa, self.shape = nodes, around.weights, around.isa, shape
        self.cache, self.tables, self.rows = around.cache, around.tables, around.rows
        self.count_name = "n_tokens"
        self.launches: list[Launch] = []
        self.regions: dict[g.Node, Region] = {}
        self._uses = Counter(user_input for node in nodes for user_input in inputs(node))
        self._panels: dict[tuple[g.Node, bool], Region] = {}
        self._deferred = self._find_deferred()
        self._scratch = Region(0, private=True)

    def body(self, crossing: dict[g.Node, Region]) -> list[Launch]:
        """Up to the last attention, and the rows that go on into the head's regions."""
        for node in self.nodes[: self._border()]:
            self._lower(node)
        for node, region in crossing.items():
            self._emit(TakeRows(), {"x": self.regions[node], "y": region, "stride": self.stride(node.width)})
        return self._finished()

    def head(self, crossing: dict[g.Node, Region]) -> tuple[list[Launch], Region]:
        """From there to the logits; their region is kept until the next step."""
        self.count_name = "n_outputs"
        self.regions.update(crossing)
        for node in self.nodes[self._border() :]:
            self._lower(node)
        return self._finished(), self.regions[self.nodes[-1]]

    @property
    def count(self) -> int:
        """Where the step says how many rows there are."""
        return Step.offset(self.count_name)

    def crossing(self) -> list[g.Node]:
        """Values made before the border and read after it."""
        border = self._border()
        before = set(self.nodes[:border])
        return list(dict.fromkeys(i for node in self.nodes[border:] for i in inputs(node) if i in before))

    def stride(self, width: int) -> int:
        """Bytes from one token's row to the next: whole units of tile rows."""
        unit = UNIT * self.isa.rows
        return 4 * -(-width // unit) * unit

    def region(self, width: int) -> Region:
        """New memory for a value."""
        return Region(self.stride(width) * -(-self.shape.max_tokens // self.shape.columns) * self.shape.columns)

    def _border(self) -> int:
        attention = [i for i, node in enumerate(self.nodes) if isinstance(node, g.Attention)]
        return attention[-1] + 1 if attention else len(self.nodes) - 1

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

    def _find_deferred(self) -> set[g.Node]:
        """Nodes computed together with their only user: a product or norm that is added, a product that is gated.

        Both must stand on the same side of the border between body and head.
        """
        deferred: set[g.Node] = set()
        before = set(self.nodes[: self._border()])
        for node in self.nodes:
            if not isinstance(node, g.Add | g.Glu):
                continue
            kinds = (g.Linear, g.RmsNorm) if isinstance(node, g.Add) else (g.Linear,)
            candidates = (node.b, node.a) if isinstance(node, g.Add) else (node.up,)
            parts = [n for n in candidates if isinstance(n, kinds) and self._uses[n] == 1]
            parts = [n for n in parts if not isinstance(n, g.RmsNorm) or n.size == n.width]
            deferred.update(n for n in parts[:1] if (n in before) == (node in before))
        return deferred

    def _lower(self, node: g.Node) -> None:
        if node not in self._deferred:
            LOWER[type(node)](self, node)

    def _lower_embed(self, node: g.Embed) -> None:
        table = self.weights.table(node.table.name)
        out = self.regions[node] = self.region(node.width)
        n_rows, n_columns = table.shape
        arguments: Arguments = {
            "table": self.rows.address(node.table.name),
            "y": out,
            "row_bytes": table.n_bytes // n_rows,
            "blocks": n_columns // table.type.block,
            "stride": self.stride(node.width),
        }
        self._emit(Embed(table.type.name, node.factor), arguments)

    def _lower_rmsnorm(self, node: g.RmsNorm, residual: g.Node | None = None, out: g.Node | None = None) -> None:
        x, groups = self.regions[node.x], node.width // node.size
        in_place = self._uses[node.x] == 1 and residual is None
        y = self.regions[out or node] = x if in_place else self.region(node.width)
        arguments: Arguments = {
            "x": x,
            "y": y,
            "other": self.regions[residual] if residual is not None else 0,
            "weight": self.weights.vector(node.weight.name),
            "count": self.count,
            "groups": groups,
            "x_stride": self.stride(node.width),
            "y_stride": self.stride(node.width),
        }
        self._emit(RmsNorm(node.size, node.eps, residual is not None), arguments)

    def _lower_linear(
        self, node: g.Linear, out: g.Node | None = None, mode: str = "", other: g.Node | None = None
    ) -> None:
        matrix = self.weights.matrix(node.weight.name)
        panel = self._panel(node.x, matrix.quantised)
        y = self.regions[out or node] = self.region(node.width)
        unpacks = matrix.quantised and not self.shape.direct
        if unpacks:
            self._scratch.n_bytes = max(self._scratch.n_bytes, matrix.scratch_bytes(self.isa.rows))
        arguments: Arguments = {
            "tiles": matrix.tiles,
            "x": panel,
            "y": y,
            "other": self.regions[other] if other is not None else 0,
            "mode": MODES[mode],
            "bias": self.weights.vector(node.bias.name) if node.bias else 0,
            "count": self.count,
            "units": matrix.units,
            "blocks": matrix.blocks,
            "stride": self.stride(node.width),
            "scratch": self._scratch if unpacks else 0,
            "room": 0,
        }
        self._emit(matrix.product(self.shape.columns, self.shape.direct), arguments)

    def _panel(self, x: g.Node, quantised: bool) -> Region:
        """The activations as products read them; made once for all products of x."""
        if (x, quantised) not in self._panels:
            columns, source = self.shape.columns, self.regions[x]
            if not quantised and columns == 1:
                return source
            panel = Region(panel_bytes(x.width, self.shape.max_tokens, columns))
            spec = Quantize(columns) if quantised else CopyPanels(columns)
            arguments: Arguments = {"x": source, "panels": panel, "count": self.count, "width": x.width}
            self._emit(spec, {**arguments, "stride": self.stride(x.width)})
            self._panels[x, quantised] = panel
        return self._panels[x, quantised]

    def _lower_rope(self, node: g.Rope) -> None:
        if self._uses[node.x] != 1:
            raise AssertionError("rope works in place: its input must have no other reader")
        x = self.regions[node] = self.regions[node.x]
        spec, heads = node.spec, node.width // node.head_dim
        table = self.tables.address(spec)
        arguments: Arguments = {"x": x, "table": table, "heads": heads, "stride": self.stride(node.width)}
        self._emit(Rope(node.head_dim, spec.n_rot, spec.order), arguments)

    def _lower_attention(self, node: g.Attention) -> None:
        cache, places = self.cache.shape, self.cache.layers[node.layer]
        cached: Arguments = {"n_head_kv": node.n_head_kv, "chunk_bytes": self.cache.chunk_bytes}
        cached["cache"] = Region(0, outside=True)
        for store, x, at, name in (
            (StoreKeys, node.k, places.keys, cache.type_k),
            (StoreValues, node.v, places.values, cache.type_v),
        ):
            arguments: Arguments = {"x": self.regions[x], "at": at, **cached, "stride": self.stride(x.width)}
            self._emit(store(node.head_dim, name), arguments)
        heads = Heads(node.head_dim, node.n_head // node.n_head_kv, cache.type_k, cache.type_v, node.scale, node.window)
        self.regions[node] = self.region(node.width)
        read: Arguments = {"q": self.regions[node.q], **cached, "stride": self.stride(node.width)}
        read |= {"keys": places.keys, "values": places.values}
        (self._attend_run if self.shape.run else self._attend_each)(node, heads, read)

    def _attend_run(self, node: g.Attention, heads: Heads, arguments: Arguments) -> None:
        """Neighbouring tokens share what they read of the cache."""
        spec = Attention(heads, max(1, QUERY_ROWS // heads.n_group), self.isa.query_rows)
        scratch = Region(spec.scratch_bytes * self.shape.n_threads, private=True)
        self._emit(spec, {**arguments, "y": self.regions[node], "scratch": scratch, "room": spec.scratch_bytes})

    def _attend_each(self, node: g.Attention, heads: Heads, arguments: Arguments) -> None:
        """Every token on its own: threads share the chunks of the cache."""
        spec = AttentionParts(heads, self.isa.query_rows)
        part_room = part_bytes(heads.head_dim) * node.n_head * (self.cache.shape.n_ctx // CHUNK)
        parts = Region(part_room * self.shape.max_tokens)
        scratch = Region(spec.scratch_bytes * self.shape.n_threads, private=True)
        given: Arguments = {"parts": parts, "part_room": part_room}
        self._emit(spec, {**arguments, "scratch": scratch, "room": spec.scratch_bytes, **given})
        merged: Arguments = {"y": self.regions[node], "stride": self.stride(node.width), "n_head": node.n_head}
        self._emit(AttentionMerge(heads), {**merged, **given})

    def _lower_glu(self, node: g.Glu) -> None:
        if node.up in self._deferred and isinstance(node.up, g.Linear):
            self._lower_linear(node.up, out=node, mode=node.activation, other=node.gate)
        else:
            self._elementwise(node.activation, node.gate, node.up, node)

    def _lower_add(self, node: g.Add) -> None:
        for part, rest in ((node.b, node.a), (node.a, node.b)):
            if part in self._deferred:
                if isinstance(part, g.Linear):
                    self._lower_linear(part, out=node, mode="residual", other=rest)
                elif isinstance(part, g.RmsNorm):
                    self._lower_rmsnorm(part, residual=rest, out=node)
                return
        self._elementwise("add", node.a, node.b, node)

    def _elementwise(self, operation: str, a: g.Node, b: g.Node, out: g.Node) -> None:
        y = self.regions[out] = self.region(out.width)
        first, second = self.regions[a], self.regions[b]
        arguments: Arguments = {"a": first, "b": second, "y": y, "count": self.count, "stride": self.stride(out.width)}
        self._emit(Elementwise(operation), arguments)

    def _emit(self, spec: KernelSpec, arguments: Arguments) -> None:
        self.launches.append(Launch(spec, arguments))


LOWER: dict[type[g.Node], Callable[[Lowering, Any], None]] = {
    g.Embed: Lowering._lower_embed,
    g.Linear: Lowering._lower_linear,
    g.RmsNorm: Lowering._lower_rmsnorm,
    g.Rope: Lowering._lower_rope,
    g.Attention: Lowering._lower_attention,
    g.Glu: Lowering._lower_glu,
    g.Add: Lowering._lower_add,
}


def inputs(node: g.Node) -> list[g.Node]:
    """The values that a node reads."""
    return [value for value in vars(node).values() if isinstance(value, g.Node)]
