"""Causal attention with grouped heads over a cache, with an online softmax (Milakov & Gimelshein 2018; Dao et al.
2022), for runs of neighbouring tokens of one sequence (`Attention`) and for single tokens (`AttentionParts`).

Order of additions, whatever is evaluated together: chunks of CHUNK keys are walked in their order, from the first one
that any of the item's tokens sees. In a chunk a score adds as `scores` says, a sum adds lane by lane and then the lanes
as a tree, an output adds keys from first to last; the chunk's (maximum, sum, output) is then merged into what came
before. A masked key adds exact zeros; where no score is above a masked one's, -1e30, the output is NaN. So threads may
share chunks (`AttentionParts`), and their results are merged in order (`AttentionMerge`). A head's sink comes last.

The chunks of `chunk` tokens beyond which some layers see nothing are of another kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares, Turns
from llamachat.engine.backend.cpu.jit.values import F32, lanes
from llamachat.engine.backend.cpu.kernels.attention_item import (
    MASKED,
    Heads,
    Item,
    Rows,
    merge_softmax,
    merged,
    n_encoded,
    part_bytes,
    scratch_bytes,
    seen,
    sum_of_seen,
    with_sink,
)
from llamachat.engine.backend.cpu.kernels.cache import PLACE
from llamachat.engine.backend.cpu.kernels.cache_formats import CHUNK
from llamachat.engine.backend.cpu.kernels.norm import lanes_for

SHAPING = ("scale", "window", "chunk", "cap", "slopes", "bias", "bias_bytes", "bias_zero", "counter")
"""Arguments that say what becomes of a score."""


@dataclass(frozen=True)
class Attention(KernelSpec):
    """y = softmax(q k^T scale) v for every token of the step, all of them neighbours in one sequence.

    q, y: float32 rows of q_stride and y_stride bytes; keys, values: where the layer's begin in the cache's first chunk;
    scratch: `room` bytes for each thread. scale: float32. window: a token sees so many of the last cells, or NO_WINDOW;
    chunk: and none before its own chunk of so many, or NO_WINDOW. cap: float32; slopes, sinks: float32 [n_head]; see
    `graph.Attention`. bias: float32 [n_head][bias_bytes], at `bias_zero` bytes that of distance 0, all times log2(e).
    counter: where the cache has the number of an encoder's rows.
    An item of work is `tokens` tokens and the heads that share a key/value head.
    """

    heads: Heads
    tokens: int
    block: int = 6
    has_sinks: bool = False
    arguments: ClassVar = (
        "q",
        "y",
        "keys",
        "values",
        "q_stride",
        "y_stride",
        *PLACE,
        "scratch",
        "room",
        *SHAPING,
        "sinks",
    )
    reals: ClassVar = ("scale", "cap")
    reads: ClassVar = ("q", "cache")
    writes: ClassVar = ("y", "scratch")
    split: ClassVar = Turns()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Item by item; later tokens cost more."""
        item = Item(self.heads, self.rows, k, isa, asks=self.rows.blocks == 1)
        n_blocks = (k.step.n_tokens + (self.tokens - 1)) // self.tokens
        with self.split.loop(k, n_blocks * k.args.n_head_kv) as i, k.when(k.not_cancelled()):
            token = i // k.args.n_head_kv * self.tokens
            item.place(token, i % k.args.n_head_kv, (token + self.tokens).min(k.step.n_tokens))
            item.read_queries()
            item.begin_sums()
            first, end = item.seen()
            with k.loop(first // CHUNK, (end + (CHUNK - 1)) // CHUNK) as chunk:
                item.before(i % k.args.n_head_kv, chunk + 1)
                item.add_chunk(chunk, first, end)
            item.store_outputs(self.has_sinks)

    @property
    def rows(self) -> Rows:
        """The query rows of an item."""
        return Rows(self.tokens * self.heads.n_group, self.block)

    @property
    def scratch_bytes(self) -> int:
        """Room for one thread: queries, scores, outputs, maxima and sums of an item."""
        return scratch_bytes(self.heads, self.rows)


@dataclass(frozen=True)
class AttentionParts(KernelSpec):
    """The part of every chunk in softmax(q k^T scale) v, for every token of the step; they may be of any sequences.

    parts: for every token `part_room` bytes, a record of (maximum, sum, output) for each chunk and head; else as
    `Attention`. An item is a chunk and the heads that share a key/value head.
    """

    heads: Heads
    block: int = 6
    arguments: ClassVar = (
        *("q", "keys", "values", "q_stride", *PLACE, "scratch", "room", "parts", "part_room", *SHAPING),
    )
    reals: ClassVar = ("scale", "cap")
    reads: ClassVar = ("q", "cache")
    writes: ClassVar = ("parts", "scratch")
    split: ClassVar = Turns()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Item by item."""
        item = Item(self.heads, self.rows, k, isa, asks=True)
        with k.loop(0, k.step.n_tokens) as token:
            item.place(token, k.number(0), token + 1)
            first, end = item.seen()
            first_chunk = first // CHUNK
            n_chunks = (end + (CHUNK - 1)) // CHUNK - first_chunk
            # Every token begins with another thread, so that those with one item more take turns.
            with self.split.loop(k, n_chunks * k.args.n_head_kv, (k.thread + token) % k.n_threads) as i:
                head, chunk = i // n_chunks, i % n_chunks
                item.place(token, head, token + 1)
                following = (i + k.n_threads).min(n_chunks * k.args.n_head_kv - 1)
                item.before(following // n_chunks, following % n_chunks + first_chunk)
                item.read_queries()
                record = part_bytes(self.heads.value_dim)
                part = (chunk * k.args.n_head_kv + head) * (self.heads.n_group * record)
                item.store_part(chunk + first_chunk, first, end, k.pointer("parts")[token * k.args.part_room][part])

    @property
    def rows(self) -> Rows:
        """The query rows of an item."""
        return Rows(self.heads.n_group, self.block)

    @property
    def scratch_bytes(self) -> int:
        """Room for one thread."""
        return scratch_bytes(self.heads, self.rows)


@dataclass(frozen=True)
class AttentionMerge(KernelSpec):
    """y from the parts of `AttentionParts`, merged in the order of the chunks, and the sinks."""

    value_dim: int
    has_chunks: bool = False
    has_sinks: bool = False
    encoded: bool = False
    arguments: ClassVar = ("y", "stride", "n_head", "parts", "part_room", "window", "chunk", "sinks", "counter")
    reads: ClassVar = ("parts",)
    writes: ClassVar = ("y",)
    split: ClassVar = Shares("n_tokens", ("n_head",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Head by head of each token."""
        dim = self.value_dim
        n_head, n = k.args.n_head, lanes_for(dim, isa.rows)
        first, last = self.split.share(k)
        with k.loop(first, last) as item:
            token, head = item // n_head, item % n_head
            y = k.pointer("y")[token * k.args.stride + head * (4 * dim)]
            begin, end = k.number(0), k.number(0)
            if self.encoded:
                end = n_encoded(k, token)
            else:
                begin, end = seen(k, token, token + 1, self.has_chunks)
            n_chunks = (end + (CHUNK - 1)) // CHUNK - begin // CHUNK
            parts = k.pointer("parts")[token * k.args.part_room][head * part_bytes(dim)]
            top, total = k.var(k.constant(F32, MASKED)), k.var(k.constant(F32, 0.0))
            with k.loop(0, dim, n) as column:
                y[column * 4].store(k.zeros(lanes(F32, n)), 4)
            with k.loop(0, n_chunks) as chunk:
                part = parts[chunk * n_head * part_bytes(dim)]
                taken = merge_softmax(k, isa, (top.get(), total.get()), (part.load(F32, 4), part[4].load(F32, 4)))
                top.set(taken.top)
                total.set(taken.total)
                with k.loop(0, dim, n) as column:
                    at = y[column * 4]
                    value = part[8][column * 4].load(lanes(F32, n), 4)
                    old = at.load(lanes(F32, n), 4), taken.old_factor
                    at.store(merged(k, isa, old, (value, taken.factor)), 4)
            factor, weight = k.constant(F32, 1.0), total.get()
            if self.has_sinks:
                sink = k.pointer("sinks")[head * 4].load(F32, 4)
                factor, weight = with_sink(k, isa, (top.get(), total.get()), sink)
            weight = sum_of_seen(k, top.get(), weight).splat(n)
            with k.loop(0, dim, n) as column:
                value = y[column * 4].load(lanes(F32, n), 4)
                value = value * factor.splat(n) if self.has_sinks else value
                y[column * 4].store(value / weight, 4)
