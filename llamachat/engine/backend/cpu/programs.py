"""The programs of a forward pass over one shape of cache, made when first needed, and the memory that they share.

A pass is a body, up to the last operation that mixes tokens, and a head, from the rows of which something is wanted to
their hidden states and logits.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.backend.cpu.bias_tables import BiasTables
from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.cache import CacheLayout
from llamachat.engine.backend.cpu.engine import MAX_TEXTS, Engine
from llamachat.engine.backend.cpu.kernels.norm import LANES
from llamachat.engine.backend.cpu.lookup import Lookup
from llamachat.engine.backend.cpu.lower import Lowering, LoweringContext, Shape
from llamachat.engine.backend.cpu.program import Program, Region, build
from llamachat.engine.backend.cpu.tables import Tables
from llamachat.engine.backend.interface import Limits
from llamachat.engine.batch import Wanted
from llamachat.engine.graph import Given, Node, Number

APART = 64  # tokens of several sequences in a step, at most
ALL_LOGITS_BYTES = 32 << 20  # memory of a step's logits, at most, where those of all tokens are wanted
Values = NDArray[np.float32]
Head = tuple[Program, dict[Wanted, Values]]


class Programs:
    """Programs for a few sizes, so that few serve all. limits: how large a batch may be.

    tables, lookup: where launches find angles and embeddings.
    """

    def __init__(self, engine: Engine, cache: CacheLayout, tables: Tables, lookup: Lookup) -> None:
        self._engine = engine
        biases = BiasTables(engine.weights.values)
        self._context = LoweringContext(engine.weights, engine.compiler.isa, cache, tables, biases, lookup, {})
        self._columns = engine.compiler.isa.columns
        self._batch = engine.batch(cache.shape.n_ctx)
        outputs = min(self._batch, ALL_LOGITS_BYTES // (4 * engine.n_vocab)) // self._columns * self._columns
        outputs = self._batch if engine.plan.needs_whole else max(outputs, self._columns)
        self.limits = Limits(
            self._batch, APART, outputs, min(MAX_TEXTS, self._batch // LANES) if engine.plan.needs_whole else 1
        )
        self._kept: dict[int, Buffer] = {}  # {address: memory beside the programs' own}
        self._crossing: dict[Node, Region] = {}
        self._bodies: dict[tuple[Shape, bool, bool], Program] = {}
        self._heads: dict[tuple[Shape, Wanted], Head] = {}
        self._body_of: dict[tuple[int, bool, bool, bool], Program] = {}
        self._head_of: dict[tuple[int, Wanted], Head] = {}
        self._lookups: dict[Shape, Program] = {}
        self._input: Region | None = None
        brought = engine.plan.given.values()
        self._context = replace(self._context, given={node: self._fixed(self._widest.region(node)) for node in brought})

    def body(self, n_tokens: int, contiguous: bool, embedded: bool, brought: bool) -> Program:
        """What every token needs. embedded: the embeddings lie in `input` already. brought: see `Lowering.body`."""
        asked = n_tokens, contiguous, embedded, brought
        if asked not in self._body_of:  # a step asks twice, and should not lose time
            self._body_of[asked] = self._make_body(n_tokens, contiguous, embedded, brought)
        return self._body_of[asked]

    def _make_body(self, n_tokens: int, contiguous: bool, embedded: bool, brought: bool) -> Program:
        shape = self._shape(n_tokens, self._batch if contiguous else APART, contiguous and n_tokens > 1)
        if brought and self._engine.plan.kept:  # rows that are many, while tokens are few
            shape = self._shape(self._batch, self._batch, True)
        if (shape, embedded, brought) not in self._bodies:
            node = self._engine.plan.embedding
            given = {node: self._input_region()} if embedded and node is not None else {}
            launches = self._lowering(shape).body(self._crossing_regions(), given, brought)
            self._bodies[shape, embedded, brought] = build(launches, self._engine.compiler)
        return self._bodies[shape, embedded, brought]

    def lookup(self, n_tokens: int) -> Program:
        """The embeddings of tokens, into `input`."""
        shape, node = self._shape(n_tokens, self._batch), self._engine.plan.embedding
        assert node is not None
        if shape not in self._lookups:
            launches, region = self._lowering(shape).alone(node)
            region.fixed = self._input_region().fixed
            self._lookups[shape] = build(launches, self._engine.compiler)
        return self._lookups[shape]

    def input(self) -> Values:
        """Where the embeddings of a batch's rows lie that are given: float32 [largest batch, width]."""
        node = self._engine.plan.embedding
        assert node is not None
        return self._view(self._input_region(), node)

    def given(self, node: Given) -> NDArray[Any]:
        """Where values lie that a batch brings: float32 or int32 [most rows, width]."""
        values = self._view(self._context.given[node], node)
        return values if node.number is Number.FLOAT else values.view(np.int32)

    def head(self, n_outputs: int, wanted: Wanted) -> Head:
        """From the rows of the body to what is wanted of them, and where each lies: float32 [rows, width]."""
        asked = n_outputs, wanted
        if asked not in self._head_of:
            self._head_of[asked] = self._make_head(n_outputs, wanted)
        return self._head_of[asked]

    def _make_head(self, n_outputs: int, wanted: Wanted) -> Head:
        shape = self._shape(n_outputs, self.limits.outputs)
        if (shape, wanted) not in self._heads:
            plan = self._engine.plan
            nodes = {Wanted.HIDDEN: plan.hidden, Wanted.LOGITS: plan.nodes[-1]}
            results = {what: node for what, node in nodes.items() if what & wanted and node is not None}
            launches, regions = self._lowering(shape).head(self._crossing_regions(), list(results.values()))
            for region in regions:
                if not region.fixed:
                    region.fixed = self._keep(region.n_bytes).address
            pairs = zip(results.items(), regions, strict=True)
            views = {what: self._view(region, node) for (what, node), region in pairs}
            self._heads[shape, wanted] = build(launches, self._engine.compiler), views
        return self._heads[shape, wanted]

    def _lowering(self, shape: Shape) -> Lowering:
        return Lowering(self._engine.plan, self._context, shape)

    def _shape(self, n_tokens: int, most: int, contiguous: bool = False) -> Shape:
        """For n_tokens, of at most `most`: the smallest of a few sizes."""
        max_tokens, columns = next(
            size for size in (*sizes(self._columns), (most, self._columns)) if n_tokens <= size[0]
        )
        return Shape(min(most, max_tokens), columns, self._engine.pool.n_threads, contiguous)

    @property
    def _widest(self) -> Lowering:
        return self._lowering(self._shape(self._batch, self._batch, True))

    def _crossing_regions(self) -> dict[Node, Region]:
        """Where bodies write the rows that heads read; the same for all."""
        if not self._crossing:
            widest = self._widest
            self._crossing = {node: self._fixed(widest.region(node)) for node in self._engine.plan.crossing}
        return self._crossing

    def _input_region(self) -> Region:
        """Where embeddings lie that come with a batch; the same for all bodies."""
        if self._input is None:
            node = self._engine.plan.embedding
            assert node is not None
            self._input = self._fixed(self._widest.region(node))
        return self._input

    def _keep(self, n_bytes: int) -> Buffer:
        buffer = Buffer(n_bytes)
        self._kept[buffer.address] = buffer
        return buffer

    def _fixed(self, region: Region) -> Region:
        """A region like it, in memory of its own."""
        return Region(region.n_bytes, self._keep(region.n_bytes).address)

    def _view(self, region: Region, node: Node) -> Values:
        """A region as float32 [rows, node.width]."""
        stride = self._widest.stride(node.width)
        values: Values = self._kept[region.fixed].view(np.float32, (region.n_bytes // stride, stride // 4))
        return values[:, : node.width]


def sizes(widest: int) -> list[tuple[int, int]]:
    """(tokens, columns of a panel) of programs for few tokens, rising, so that few columns of panels are unused."""
    found = [(columns, columns) for columns in (1, 2, 4, 8) if columns < widest]
    found += [(widest, widest), (2 * widest, widest)]
    if 4 < widest < 8:
        found.append((8, 4))
    return sorted(found)
