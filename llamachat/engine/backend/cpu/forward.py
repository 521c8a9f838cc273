"""The forward pass of a model over one shape of cache: programs for a token, a run of them, and tokens apart.

A pass is a body, up to the last attention, and a head, from the rows that are wanted to their logits. All contexts of
a shape share the programs and their memory; one step at a time.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.cache import CacheLayout, CacheShape
from llamachat.engine.backend.cpu.engine import BATCH, Engine
from llamachat.engine.backend.cpu.jit.kernel import ROW, ROW_BYTES
from llamachat.engine.backend.cpu.key_rotator import KeyRotator
from llamachat.engine.backend.cpu.lookup import Lookup
from llamachat.engine.backend.cpu.lower import DIRECT_PANELS, Lowering, LoweringContext, Shape
from llamachat.engine.backend.cpu.program import Program, Region, build
from llamachat.engine.backend.cpu.rope_tables import RopeTables
from llamachat.engine.backend.cpu.workers import Step
from llamachat.engine.graph import Node, states
from llamachat.errors import Cancelled

APART = 64  # at most so many tokens of different sequences in a step
ALL_LOGITS_BYTES = 32 << 20  # at most so many logits at once when all are asked for


@dataclass(frozen=True)
class Rows:
    """The tokens of a step: their ids, the addresses of their caches, their cells and positions there; all [n].

    run: they are neighbours in one sequence. Else they are of any sequences, and those of one follow each other in it.
    """

    ids: np.ndarray
    caches: np.ndarray | int
    cells: np.ndarray
    positions: np.ndarray
    run: bool = True


class Forward:
    """The programs; made when first needed."""

    def __init__(self, engine: Engine, shape: CacheShape) -> None:
        self.engine = engine
        self.layout = CacheLayout(states(engine.plan.nodes), shape)
        self._tables = RopeTables(shape.n_ctx, engine.weights.values)
        self._lookup = Lookup(engine.plan.nodes, engine.weights)
        self._rows = Buffer(ROW_BYTES * BATCH)
        self._crossing: dict[Node, Region] = {}
        self._keep: list[Buffer] = []
        self._bodies: dict[Shape, Program] = {}
        self._heads: dict[Shape, tuple[Program, np.ndarray]] = {}
        self._lock = threading.Lock()

    @property
    def most_logits(self) -> int:
        """For so many tokens a step can give logits."""
        columns = self._columns
        return max(1, min(BATCH, ALL_LOGITS_BYTES // (4 * self.engine.n_vocab)) // columns) * columns

    def step(self, step: Step, rows: Rows, out: np.ndarray) -> None:
        """Evaluates the tokens; the logits of the last len(out) of them are written to out, float32 [n, n_vocab].

        At most BATCH tokens of a run, APART others, `most_logits` outputs. Raises Cancelled if the step was asked to
        stop, ModelFileError where the model's file was cut or changed.
        """
        n_tokens, n_outputs = len(rows.ids), len(out)
        with step.running, self._lock:
            self._write(rows)
            step.set(
                n_tokens=n_tokens, n_outputs=n_outputs, tokens=self._lookup.numbers.address, rows=self._rows.address
            )
            self._launch(self._body(n_tokens, rows.run), step)
            if n_outputs:
                head, logits = self._head(n_outputs)
                self._launch(head, step)
                out[:] = logits[:n_outputs, : self.engine.n_vocab]

    def turn_keys(self, cache: Buffer, sources: np.ndarray, targets: np.ndarray, differences: np.ndarray) -> None:
        """See `KeyRotator.turn`."""
        with self._lock:
            self._turner.turn(self.layout.cells(cache), sources, targets, differences)

    @cached_property
    def _turner(self) -> KeyRotator:
        return KeyRotator(self.engine, self.layout)

    def _write(self, rows: Rows) -> None:
        n_tokens = len(rows.ids)
        self._lookup.fill(rows.ids)
        table = self._rows.view(np.int64, (BATCH, len(ROW)))[:n_tokens]
        for i, values in enumerate((rows.caches, rows.cells, rows.positions)):
            table[:, i] = values
        self._tables.fill(int(rows.positions.max()) + 1)

    def _launch(self, program: Program, step: Step) -> None:
        if not step.cancelled:
            self.engine.pool.run(program.address, program.n_launches, step)
        if step.cancelled:
            step.set(cancel=0)
            raise Cancelled("the evaluation was stopped")

    @property
    def _columns(self) -> int:
        return self.engine.compiler.isa.columns

    def _lowering(self, shape: Shape) -> Lowering:
        engine = self.engine
        context = LoweringContext(engine.weights, engine.compiler.isa, self.layout, self._tables, self._lookup)
        return Lowering(engine.plan, context, shape)

    def _shape(self, n_tokens: int, most: int, run: bool = False) -> Shape:
        """For n_tokens, of at most `most`: the smallest of a few sizes, so that few programs serve all."""
        widest = self._columns
        columns = next((c for c in (1, 2, 4) if c < widest and n_tokens <= c), widest)
        sizes = (columns, DIRECT_PANELS * columns, most)
        max_tokens = min(most, next(size for size in sizes if n_tokens <= size))
        return Shape(max_tokens, columns, self.engine.pool.n_threads, run)

    def _crossing_regions(self) -> dict[Node, Region]:
        """Where bodies leave the rows that heads begin with; the same for all."""
        if not self._crossing:
            widest = self._lowering(self._shape(BATCH, BATCH, True))
            buffers = {node: Buffer(widest.region(node.width).n_bytes) for node in self.engine.plan.crossing}
            self._keep += buffers.values()
            self._crossing = {node: Region(b.n_bytes, b.address) for node, b in buffers.items()}
        return self._crossing

    def _body(self, n_tokens: int, run: bool) -> Program:
        shape = self._shape(n_tokens, BATCH if run else APART, run and n_tokens > 1)
        if shape not in self._bodies:
            launches = self._lowering(shape).body(self._crossing_regions())
            self._bodies[shape] = build(launches, self.engine.compiler)
        return self._bodies[shape]

    def _head(self, n_outputs: int) -> tuple[Program, np.ndarray]:
        """The program from the rows that are wanted to their logits, and where they will be: float32 [rows, padded]."""
        shape = self._shape(n_outputs, self.most_logits)
        if shape not in self._heads:
            launches, logits = self._lowering(shape).head(self._crossing_regions())
            buffer = Buffer(logits.n_bytes)
            logits.fixed = buffer.address
            self._keep.append(buffer)
            rows = -(-shape.max_tokens // shape.columns) * shape.columns
            view = buffer.view(np.float32, (rows, buffer.n_bytes // (4 * rows)))
            self._heads[shape] = build(launches, self.engine.compiler), view
        return self._heads[shape]
