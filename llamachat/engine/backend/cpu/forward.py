"""The forward pass of a model over one shape of cache: a batch is written where launches read it, and run.

All contexts of a shape share the programs and their memory; one step at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from typing import cast

import numpy as np

from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.cache import CacheLayout, CacheShape
from llamachat.engine.backend.cpu.engine import MAX_TEXTS, Engine
from llamachat.engine.backend.cpu.jit.kernel import OWN_COUNTS, ROW, ROW_BYTES
from llamachat.engine.backend.cpu.kernels.norm import LANES
from llamachat.engine.backend.cpu.key_rotator import KeyRotator
from llamachat.engine.backend.cpu.lookup import Lookup
from llamachat.engine.backend.cpu.program import Program
from llamachat.engine.backend.cpu.programs import Programs
from llamachat.engine.backend.cpu.sequence import CpuState, Integers
from llamachat.engine.backend.cpu.tables import Tables
from llamachat.engine.backend.cpu.workers import Step
from llamachat.engine.batch import EMBEDDED, Batch, Outputs, Wanted
from llamachat.engine.cancellation import Cancellation
from llamachat.engine.graph import states
from llamachat.engine.state.cache_types import CacheType
from llamachat.engine.state.windows import Ring
from llamachat.errors import Cancelled, UsageError


class CpuForward:
    """Implements `interface.Forward`, where its methods are described."""

    def __init__(self, engine: Engine, shape: CacheShape) -> None:
        self.cache = CacheLayout(states(engine.plan.nodes), shape)
        self._engine = engine
        self._tables = Tables(shape.n_ctx, engine.weights.values)
        batch = engine.batch(self.cache.shape.n_ctx)
        self._lookup = Lookup(engine.plan.nodes, engine.weights, batch)
        self._programs = Programs(engine, self.cache, self._tables, self._lookup)
        self.limits = self._programs.limits
        self._rows = Buffer(ROW_BYTES * batch)
        self._step = Step()
        self._lock = threading.Lock()

    @property
    def cache_types(self) -> tuple[CacheType, CacheType]:
        """Of keys and values."""
        return self.cache.shape.type_k, self.cache.shape.type_v

    @property
    def layout(self) -> str:
        """A version, and what lies where."""
        return self.cache.description

    @property
    def ring(self) -> Ring | None:
        """Whole chunks of cells."""
        return self.cache.ring

    def parts(self, n_cells: int) -> Sequence[tuple[int, str]]:
        """Of a chunk of cells where there are no others, else of all of them."""
        return self.cache.parts(n_cells)

    def new_state(self) -> CpuState:
        """All zero; pages take memory when they are first written."""
        return CpuState(self)

    def run(self, batch: Batch, outputs: Outputs, cancellation: Cancellation) -> None:
        """A body, and a head where anything is wanted."""
        with cancellation.running, self._lock:
            self._step.set(cancel=0)
            try:
                cancellation.begin(self._step.stop)
                self._run(batch, outputs, cancellation)
            finally:
                cancellation.end()

    def _run(self, batch: Batch, outputs: Outputs, cancellation: Cancellation) -> None:
        n_tokens, n_outputs, wanted = len(batch.ids), batch.n_outputs, batch.wanted
        self._write(batch)
        numbers, rows = self._lookup.numbers.address, self._rows.address
        self._step.set(n_tokens=n_tokens, n_outputs=n_outputs, tokens=numbers, rows=rows)
        if self._engine.plan.given:
            self._bring(batch)
        if batch.embeddings is not None:
            self._embed(batch, cancellation)
        kind = batch.contiguous, batch.embeddings is not None, bool(batch.given)
        self._launch(self._programs.body(n_tokens, *kind), cancellation)
        if n_outputs:
            kinds = wanted if isinstance(wanted, Wanted) else Wanted(int(np.bitwise_or.reduce(wanted)))
            head, values = self._programs.head(n_outputs, kinds)
            self._launch(head, cancellation)
            for what, found in values.items():
                out = outputs.logits if what is Wanted.LOGITS else outputs.hidden
                some = found[:n_outputs]
                out[:] = some if wanted is kinds else some[(wanted & what) != 0]

    def rotate_keys(self, cache: int, sources: Integers, targets: Integers, differences: Integers, n_lost: int) -> None:
        """See `KeyRotator.rotate`."""
        with self._lock:
            self._rotator.rotate(cache, sources, targets, differences, n_lost)

    @cached_property
    def _rotator(self) -> KeyRotator:
        return KeyRotator(self._engine, self.cache)

    def _write(self, batch: Batch) -> None:
        n_tokens = len(batch.ids)
        if batch.embeddings is None:
            self._lookup.fill(batch.ids)
        table = self._rows.view(np.int64, (n_tokens, len(ROW)))
        addresses = [state.address for state in cast(Sequence[CpuState], batch.states)]
        for i, values in enumerate((addresses, batch.cells, batch.positions)):
            table[:, i] = values
        if self._engine.plan.needs_whole:
            table[:, [ROW.index(name) for name in ("cell", "begin", "end")]] = _texts(batch)
        self._tables.fill(int(batch.positions.max()) + 1)

    def _bring(self, batch: Batch) -> None:
        """Values that come with the batch, and how many rows they have."""
        counts = dict.fromkeys(self._engine.plan.own_rows, 0)
        for name, node in self._engine.plan.given.items():
            if name in batch.given:
                values = batch.given[name]
                self._programs.given(node)[: len(values)] = values
                counts[node.rows] = len(values)
        self._step.set(**dict(zip(OWN_COUNTS, counts.values(), strict=False)))

    def _embed(self, batch: Batch, cancellation: Cancellation) -> None:
        """The embeddings of a batch of which some rows bring their own; tokens among them are looked up as always."""
        n_tokens, given = len(batch.ids), batch.ids == EMBEDDED
        if not given.all():
            self._lookup.fill(np.where(given, 0, batch.ids))
            self._launch(self._programs.lookup(n_tokens), cancellation)
        assert batch.embeddings is not None
        self._programs.input()[:n_tokens][given] = batch.embeddings[given]

    def _launch(self, program: Program, cancellation: Cancellation) -> None:
        """Raises Cancelled before or after it: what was cut short is never taken for the whole."""
        cancellation.check()
        self._engine.pool.run(program.address, program.n_launches, self._step)
        cancellation.check()
        if self._step.cancelled:  # by a request that was taken back meanwhile
            raise Cancelled("the evaluation was stopped")


def _texts(batch: Batch) -> Integers:
    """Of each row: its place among grouped keys, each text's from a whole group on, and its text's rows: [n, 3].

    Raises UsageError for more texts than a step has places for, or texts that are not the batch's rows.
    """
    lengths = np.array(batch.texts or (len(batch.ids),))
    if len(lengths) > MAX_TEXTS or lengths.min() < 1 or lengths.sum() != len(batch.ids):
        raise UsageError(f"a step takes at most {MAX_TEXTS} texts, which are its rows")
    ends, groups = np.cumsum(lengths), -(-lengths // LANES) * LANES
    begins, places = ends - lengths, np.cumsum(groups) - groups
    begin, end, place = (np.repeat(z, lengths) for z in (begins, ends, places))
    return np.stack([place + np.arange(len(begin)) - begin, begin, end], axis=1)
