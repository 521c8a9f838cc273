"""A context: the KV cache of one sequence, and the evaluation of tokens in it.

Tokens are evaluated in batches of at most 512. Results do not depend on how tokens are cut into calls or batches,
nor on the number of threads: logits are equal to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from llamachat.engine import graph as g
from llamachat.engine.jit.compiler import Compiler
from llamachat.engine.kernels.attention import CACHE_BYTES, CHUNK
from llamachat.engine.positions import rope_angles
from llamachat.engine.runtime.buffers import Buffer
from llamachat.engine.runtime.lower import Lowering, Shape
from llamachat.engine.runtime.program import Program, Region, build
from llamachat.engine.runtime.weights import Weights
from llamachat.engine.runtime.workers import Step, WorkerPool
from llamachat.errors import Cancelled, ContextFull, UsageError

BATCH = 512
ALL_LOGITS_BYTES = 32 << 20  # at most so many logits at once when all are asked for
CacheType = Literal["f32", "f16"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Engine:
    """What the contexts of a model share: the forward pass, the packed weights, the compiler, the threads."""

    nodes: list[g.Node]
    weights: Weights
    compiler: Compiler
    pool: WorkerPool
    n_vocab: int


class Context:
    """The tokens evaluated so far and their keys and values; made by `Model.context`. Not for two threads at once."""

    def __init__(self, engine: Engine, n_ctx: int, cache_type: CacheType = "f16") -> None:
        if n_ctx < 1:
            raise UsageError(f"a context needs at least one token, not {n_ctx}")
        if cache_type not in CACHE_BYTES:
            raise UsageError(f"unknown cache type {cache_type!r}: known are {', '.join(CACHE_BYTES)}")
        self.n_ctx = n_ctx
        self.cache_type = cache_type
        self.tokens: list[int] = []
        self._engine = engine
        self._memory = _CacheMemory(engine, -(-n_ctx // CHUNK) * CHUNK, cache_type)
        self._step = Step()
        self._ids_buffer = Buffer(4 * BATCH)
        self._ids = self._ids_buffer.view(np.int32, (BATCH,))
        self._crossing: dict[g.Node, Region] = {}
        self._keep: list[Buffer] = []
        self._bodies: dict[int, Program] = {}
        self._heads: dict[int, tuple[Program, np.ndarray]] = {}

    @property
    def n_past(self) -> int:
        """How many tokens are evaluated."""
        return len(self.tokens)

    @property
    def cache_bytes(self) -> int:
        """Memory that the cache may take when full."""
        return self._memory.n_bytes

    def eval(
        self, tokens: Sequence[int], logits: Literal["last", "all"] = "last", progress: Progress | None = None
    ) -> np.ndarray:
        """Evaluates tokens after those before: float32 [n_vocab] after the last one, or [n_tokens, n_vocab] for "all".

        progress(done, total) is called after each batch. Raises ContextFull before anything is evaluated, UsageError
        for ids that are not in the vocabulary, Cancelled when `cancel` was called: finished batches stay evaluated.
        """
        ids = self._checked(tokens)
        whole = logits == "all"
        results: list[np.ndarray] = []
        size = self._all_batch() if whole else BATCH
        for start in range(0, len(ids), size):
            batch = ids[start : start + size]
            last = start + size >= len(ids)
            results += self._run(batch, len(batch) if whole else int(last))
            if progress is not None:
                progress(start + len(batch), len(ids))
        return np.concatenate(results) if whole else results[0][0]

    def truncate(self, n_past: int) -> None:
        """Forgets every token from position n_past on."""
        if not 0 <= n_past <= len(self.tokens):
            raise UsageError(f"cannot go back to {n_past} tokens: {len(self.tokens)} are evaluated")
        del self.tokens[n_past:]

    def cancel(self) -> None:
        """Stops the evaluation that runs, or the next one, from another thread; it raises Cancelled."""
        self._step.set(cancel=1)

    def resume(self) -> None:
        """Takes a `cancel` back that no evaluation has seen."""
        self._step.set(cancel=0)

    def _checked(self, tokens: Sequence[int]) -> np.ndarray:
        if not len(tokens):
            raise UsageError("nothing to evaluate: the list of tokens is empty")
        ids = np.asarray(tokens)
        if ids.ndim != 1 or ids.dtype.kind not in "iu" or min(tokens) < 0 or max(tokens) >= self._engine.n_vocab:
            raise UsageError(f"token ids must be between 0 and {self._engine.n_vocab - 1}")
        if len(self.tokens) + len(ids) > self.n_ctx:
            raise ContextFull(
                f"{len(ids)} tokens do not fit: {len(self.tokens)} of the context's {self.n_ctx} are used; "
                "shorten the prompt or ask for a larger context (--ctx-size)"
            )
        return ids.astype(np.int32)

    def _run(self, batch: np.ndarray, n_outputs: int) -> list[np.ndarray]:
        """One step; returns the logits of its last n_outputs tokens as a list of at most one array."""
        n_tokens, n_past = len(batch), len(self.tokens)
        self._ids[:n_tokens] = batch
        self._memory.fill_rope_tables(n_past + n_tokens)
        body = self._body(n_tokens)
        self._step.set(n_tokens=n_tokens, n_past=n_past, n_outputs=n_outputs, tokens=self._ids_buffer.address)
        self._launch(body)
        found = []
        if n_outputs:
            head, logits = self._head(n_outputs)
            self._launch(head)
            found = [logits[:n_outputs, : self._engine.n_vocab].copy()]
        self.tokens += batch.tolist()
        return found

    def _launch(self, program: Program) -> None:
        if not self._step.cancelled:
            self._engine.pool.run(program.address, program.n_launches, self._step)
        if self._step.cancelled:
            self._step.set(cancel=0)
            raise Cancelled(f"stopped after {len(self.tokens)} tokens")

    def _columns(self, n: int) -> int:
        return 1 if n == 1 else self._engine.compiler.isa.columns

    def _all_batch(self) -> int:
        columns = self._engine.compiler.isa.columns
        return max(1, min(BATCH, ALL_LOGITS_BYTES // (4 * self._engine.n_vocab)) // columns) * columns

    def _padded(self, n: int) -> int:
        return 1 if n == 1 else self._all_batch()

    def _lowering(self, columns: int, max_tokens: int) -> Lowering:
        engine = self._engine
        shape = Shape(max_tokens, columns, engine.pool.n_threads)
        return Lowering(engine.nodes, engine.weights, self._memory, engine.compiler.isa, self._step, shape)

    def _crossing_regions(self) -> dict[g.Node, Region]:
        """Where bodies leave the rows that heads begin with; the same for all."""
        if not self._crossing:
            widest = self._lowering(self._engine.compiler.isa.columns, BATCH)
            for node in widest.crossing():
                buffer = Buffer(widest.region(node.width).n_bytes)
                self._keep.append(buffer)
                self._crossing[node] = Region(buffer.n_bytes, buffer.address)
        return self._crossing

    def _body(self, n_tokens: int) -> Program:
        columns = self._columns(n_tokens)
        if columns not in self._bodies:
            lowering = self._lowering(columns, 1 if columns == 1 else BATCH)
            self._bodies[columns] = build(lowering.body(self._crossing_regions()), self._engine.compiler)
        return self._bodies[columns]

    def _head(self, n_outputs: int) -> tuple[Program, np.ndarray]:
        """The program from the rows that are wanted to their logits, and where they will be: float32 [rows, padded]."""
        columns = self._columns(n_outputs)
        if columns not in self._heads:
            lowering = self._lowering(columns, self._padded(n_outputs))
            launches, logits = lowering.head(self._crossing_regions())
            buffer = Buffer(logits.n_bytes)
            logits.fixed = buffer.address
            self._keep.append(buffer)
            rows = self._padded(n_outputs)
            view = buffer.view(np.float32, (rows, buffer.n_bytes // (4 * rows)))
            self._heads[columns] = build(launches, self._engine.compiler), view
        return self._heads[columns]


def _row_bytes(node: g.Attention, cache_type: str) -> int:
    return node.n_head_kv * node.head_dim * CACHE_BYTES[cache_type]


def cache_bytes_per_token(nodes: Sequence[g.Node], cache_type: str) -> int:
    """Bytes of keys and values that one token takes in all layers."""
    return sum(2 * _row_bytes(node, cache_type) for node in nodes if isinstance(node, g.Attention))


class _CacheMemory:
    """Keys and values of every layer, and the tables of rope angles, filled as far as positions have come."""

    def __init__(self, engine: Engine, n_ctx: int, cache_type: CacheType) -> None:
        self.n_ctx = n_ctx
        self.cache_type: str = cache_type
        self._weights = engine.weights
        layers = [node for node in engine.nodes if isinstance(node, g.Attention)]
        self._buffers = {
            node.layer: [Buffer(_row_bytes(node, cache_type) * n_ctx) for _ in range(2)] for node in layers
        }
        self._regions = {layer: [Region(b.n_bytes, b.address) for b in pair] for layer, pair in self._buffers.items()}
        self._tables: dict[g.RopeSpec, Buffer] = {}
        self._filled = 0

    @property
    def n_bytes(self) -> int:
        """Bytes of the whole cache."""
        return sum(b.n_bytes for pair in self._buffers.values() for b in pair)

    def keys(self, layer: int) -> Region:
        """The layer's cached keys."""
        return self._regions[layer][0]

    def values(self, layer: int) -> Region:
        """The layer's cached values."""
        return self._regions[layer][1]

    def rope_table(self, spec: g.RopeSpec) -> int:
        """The address of cos and sin of every position: float32 [n_ctx][2][n_rot/2]."""
        if spec not in self._tables:
            self._tables[spec] = Buffer(4 * spec.n_rot * self.n_ctx)
            self._fill(spec, 0, self._filled)
        return self._tables[spec].address

    def fill_rope_tables(self, n_positions: int) -> None:
        """Makes the tables valid for so many positions."""
        if n_positions <= self._filled:
            return
        filled = min(self.n_ctx, -(-n_positions // CHUNK) * CHUNK)
        for spec in self._tables:
            self._fill(spec, self._filled, filled)
        self._filled = filled

    def _fill(self, spec: g.RopeSpec, first: int, last: int) -> None:
        if last > first:
            factors = self._weights.values(spec.factors.name) if spec.factors is not None else None
            cos, sin = rope_angles(spec, factors, np.arange(first, last))
            table = self._tables[spec].view(np.float32, (self.n_ctx, 2, spec.n_rot // 2))
            table[first:last, 0], table[first:last, 1] = cos, sin
