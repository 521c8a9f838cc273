"""Causal attention with grouped heads over a cache, with an online softmax (Milakov & Gimelshein 2018; Dao et al.
2022).

Cache of one layer: keys [n_head_kv][n_ctx/B][head_dim][B], so that a register holds one dimension of B = LANES keys;
values [n_head_kv][n_ctx][head_dim]; n_ctx is a multiple of CHUNK; float32 or float16.

Order of additions, whatever is evaluated together: the cache is walked from position 0 in chunks of CHUNK keys. In a
chunk a score adds dimensions from first to last, a sum adds lane by lane and then the lanes as a tree, an output
adds keys from first to last; the chunk's (maximum, sum, output) is then merged into what came before. A masked key
adds exact zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.jit.compiler import KernelSpec
from llamachat.engine.jit.isa.generic import Generic
from llamachat.engine.jit.kernel import Kernel
from llamachat.engine.jit.values import F32, I16, I32, Ptr, Vec, lanes
from llamachat.engine.kernels.functions import exp
from llamachat.engine.kernels.norm import LANES, lanes_for

CHUNK = 256
MASKED = -1e30  # a score that no key has; finite, so that differences of two are numbers
CACHE_BYTES = {"f32": 4, "f16": 2}


@dataclass(frozen=True)
class Rows:
    """The query rows of one item of work: `count` rows, computed in `blocks` of `block` at a time, at most `limit`."""

    count: int
    limit: int

    @property
    def blocks(self) -> int:
        """How many register blocks."""
        return -(-self.count // self.limit)

    @property
    def block(self) -> int:
        """Rows of a register block."""
        return -(-self.count // self.blocks)

    @property
    def padded(self) -> int:
        """Rows with the padding of the last block."""
        return self.blocks * self.block


@dataclass(frozen=True)
class Attention(KernelSpec):
    """y = softmax(q k^T scale) v for every token of the step.

    q, y: float32 rows of `stride` bytes; keys, values: the layer's cache with `n_ctx` positions; scratch:
    `scratch_bytes` for each thread. An item of work is `tokens` tokens and `heads` of the n_group heads that share a
    key/value head.
    """

    head_dim: int
    n_group: int
    cache_type: str
    scale: float
    window: int
    tokens: int
    heads: int
    block: int = 6
    arguments: ClassVar = ("q", "y", "keys", "values", "stride", "n_head_kv", "n_ctx", "scratch", "room")

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Items go to threads in turn, because later tokens cost more."""
        item = _Item(self, k, isa)
        parts = self.n_group // self.heads
        n_blocks = (k.step.n_tokens + (self.tokens - 1)) // self.tokens
        with k.loop(k.thread, n_blocks * k.args.n_head_kv * parts, k.n_threads) as i:
            split = k.args.n_head_kv * parts
            item.place(i // split * self.tokens, i % split // parts, i % parts)
            item.read_queries()
            item.walk_cache()
            item.store_outputs()

    @property
    def rows(self) -> Rows:
        """The query rows of an item."""
        return Rows(self.tokens * self.heads, self.block)

    @property
    def scratch_bytes(self) -> int:
        """Room for one thread: queries, scores, outputs, maxima and sums of an item."""
        return 4 * self.rows.padded * (2 * self.head_dim + CHUNK + 4)


class _Item:
    """Emits one item of work: the rows of some tokens and heads against one key/value head."""

    def __init__(self, spec: Attention, k: Kernel, isa: Generic) -> None:
        self.spec, self.k, self.isa, self.rows = spec, k, isa, spec.rows
        n, dim = self.rows.padded, spec.head_dim
        base = k.pointer("scratch")[k.thread * k.args.room]
        self.queries, self.scores = base, base[4 * n * dim]
        self.outputs = self.scores[4 * n * CHUNK]
        self.maxima = self.outputs[4 * n * dim]
        self.sums, self.old_factors, self.factors = (self.maxima[4 * n * i] for i in (1, 2, 3))
        # Registers: one query's value, and for every load its keys and a sum for each row; many sums hide the latency.
        loads = (isa.registers - 1) // ((self.rows.block + 1) * (LANES // isa.rows))
        self.keys_per_load = next(n for n in (8, 4, 2, 1) if n <= max(1, loads))

    def place(self, token: Vec, head_kv: Vec, part: Vec) -> None:
        """Where the item lies: first token, key/value head, which of the group's heads."""
        k, spec = self.k, self.spec
        size = CACHE_BYTES[spec.cache_type] * spec.head_dim
        self.token, self.head = token, head_kv * spec.n_group + part * spec.heads
        self.position = k.step.n_past + token
        self.keys = k.pointer("keys")[head_kv * k.args.n_ctx * size]
        self.values = k.pointer("values")[head_kv * k.args.n_ctx * size]

    def _real_rows(self) -> Iterator[tuple[int, Vec, Vec]]:
        """(row, its token in the batch, byte offset of its head) of the rows that are not padding."""
        for row in range(self.spec.tokens * self.spec.heads):
            token = self.token + row // self.spec.heads
            yield row, token, (self.head + row % self.spec.heads) * (4 * self.spec.head_dim)

    def read_queries(self) -> None:
        """Queries times scale, transposed to [dimension][row]; outputs, sums and maxima begin anew."""
        k, dim, n = self.k, self.spec.head_dim, self.rows.padded
        with k.loop(0, dim) as d:
            for row, token, head in self._real_rows():
                known = token.min(k.step.n_tokens - 1)
                q = k.pointer("q")[known * k.args.stride + head + d * 4].load(F32, 4)
                self.queries[d * (4 * n) + 4 * row].store(q * self.spec.scale, 4)
            for row in range(self.spec.tokens * self.spec.heads, n):
                self.queries[d * (4 * n) + 4 * row].store(k.constant(F32, 0.0), 4)
        with k.loop(0, 4 * n * dim, 4) as at:
            self.outputs[at].store(k.constant(F32, 0.0), 4)
        for row in range(n):
            self.maxima[4 * row].store(k.constant(F32, MASKED), 4)
            self.sums[4 * row].store(k.constant(F32, 0.0), 4)

    def walk_cache(self) -> None:
        """Every chunk that one of the tokens sees, in order."""
        k, spec = self.k, self.spec
        last = (self.position + spec.tokens).min(k.step.n_past + k.step.n_tokens)
        first = (self.position - (spec.window - 1)).max(0) if spec.window else k.number(0)
        with k.loop(first // CHUNK, (last + (CHUNK - 1)) // CHUNK) as chunk:
            start = chunk * CHUNK
            end = (last - start).min(CHUNK)
            begin = (first - start).max(0)
            with k.loop(0, self.rows.blocks) as block:
                row = block * self.rows.block
                for i, top in enumerate(self._score(start, begin, end, row)):
                    self._softmax(begin, end, row + i, top)
                self._add_values(start, begin, end, row)

    def _score(self, start: Vec, begin: Vec, end: Vec, row: Vec) -> list[Vec]:
        """scores[row][key] = q . k of the chunk's keys begin .. end - 1, and of some around them that are masked.

        Returns the maximum of each row of the block.
        """
        k, isa, b, dim = self.k, self.isa, LANES, self.spec.head_dim
        step, n, size = self.keys_per_load, self.rows.padded, CACHE_BYTES[self.spec.cache_type]
        largest = [k.var(k.constant(lanes(F32, b), MASKED)) for _ in range(self.rows.block)]
        with k.loop(begin // (b * step) * (b * step), end, b * step) as key:
            totals = [[k.var(k.zeros(lanes(F32, b))) for _ in range(step)] for _ in range(self.rows.block)]
            with k.loop(0, dim) as d:
                at = self.keys[(start + key) * (size * dim) + d * (size * b)]
                loaded = [self._read(at[i * b * size * dim], b) for i in range(step)]
                for r, sums in enumerate(totals):
                    q = self.queries[d * (4 * n) + (row + r) * 4].load(F32, 4).splat(b)
                    for total, keys in zip(sums, loaded, strict=True):
                        total.set(isa.fma(k, keys, q, total.get()))
            for r, sums in enumerate(totals):
                distance = (self.position + (row + r) // self.spec.heads - start - key).cut(I32).splat(b) - k.ramp(b)
                for i, total in enumerate(sums):
                    value = self._masked(total.get(), distance - i * b)
                    self.scores[(row + r) * (4 * CHUNK) + (key + i * b) * 4].store(value, 4)
                    largest[r].set(largest[r].get().max(value))
        return [one.get().reduce(lambda x, y: x.max(y)) for one in largest]

    def _masked(self, scores: Vec, distance: Vec) -> Vec:
        """MASKED where a key is after the row's position, or a window's length before it; distance = position - key."""
        masked = self.k.constant(scores.type, MASKED)
        value = (distance < 0).select(masked, scores)
        return (distance >= self.spec.window).select(masked, value) if self.spec.window else value

    def _softmax(self, begin: Vec, end: Vec, row: Vec, top: Vec) -> None:
        """Scores of a row become weights; its maximum and sum take the chunk in; keeps the factors of both sides."""
        k, isa, b = self.k, self.isa, LANES
        scores = self.scores[row * (4 * CHUNK)]
        total = k.var(k.zeros(lanes(F32, b)))
        with k.loop(begin // b * b, end, b) as key:
            weight = exp(k, isa, scores[key * 4].load(lanes(F32, b), 4) - top.splat(b))
            scores[key * 4].store(weight, 4)
            total.set(total.get() + weight)
        before = self.maxima[row * 4].load(F32, 4)
        new = before.max(top)
        old_factor, factor = exp(k, isa, before - new), exp(k, isa, top - new)
        summed = self.sums[row * 4]
        chunk_sum = total.get().reduce(lambda x, y: x + y)
        summed.store(isa.fma(k, summed.load(F32, 4), old_factor, chunk_sum * factor), 4)
        self.maxima[row * 4].store(new, 4)
        self.old_factors[row * 4].store(old_factor, 4)
        self.factors[row * 4].store(factor, 4)

    def _add_values(self, start: Vec, begin: Vec, end: Vec, row: Vec) -> None:
        """outputs = outputs * old factor + (weights x values of the chunk) * factor, a few registers of columns at a
        time.
        """
        k, isa, dim = self.k, self.isa, self.spec.head_dim
        n = lanes_for(dim, isa.rows)
        wide = next(
            w for w in (4, 2, 1) if dim // n % w == 0 and (w * self.rows.block <= 2 * self.spec.block or w == 1)
        )
        size = CACHE_BYTES[self.spec.cache_type]
        with k.loop(0, dim, n * wide) as column:
            totals = [[k.var(k.zeros(lanes(F32, n))) for _ in range(wide)] for _ in range(self.rows.block)]
            with k.loop(begin, end) as key:
                at = self.values[(start + key) * (size * dim) + column * size]
                loaded = [self._read(at[i * n * size], n) for i in range(wide)]
                for r, sums in enumerate(totals):
                    weight = self.scores[(row + r) * (4 * CHUNK) + key * 4].load(F32, 4).splat(n)
                    for total, values in zip(sums, loaded, strict=True):
                        total.set(isa.fma(k, values, weight, total.get()))
            for r, sums in enumerate(totals):
                old, factor = (p[(row + r) * 4].load(F32, 4).splat(n) for p in (self.old_factors, self.factors))
                for i, total in enumerate(sums):
                    out = self.outputs[(row + r) * (4 * dim) + column * 4 + 4 * n * i]
                    out.store(isa.fma(k, total.get(), factor, out.load(lanes(F32, n), 4) * old), 4)

    def store_outputs(self) -> None:
        """outputs / sums of the tokens that exist."""
        k, dim = self.k, self.spec.head_dim
        n = lanes_for(dim, self.isa.rows)
        for row, token, head in self._real_rows():
            with k.when(token < k.step.n_tokens):
                total = self.sums[4 * row].load(F32, 4).splat(n)
                with k.loop(0, 4 * dim, 4 * n) as at:
                    value = self.outputs[at + 4 * dim * row].load(lanes(F32, n), 4) / total
                    k.pointer("y")[token * k.args.stride + head + at].store(value, 4)

    def _read(self, at: Ptr, n: int) -> Vec:
        if self.spec.cache_type == "f32":
            return at.load(lanes(F32, n), 4)
        return self.isa.widen_half(self.k, at.load(lanes(I16, n), 2))


@dataclass(frozen=True)
class StoreCache(KernelSpec):
    """Keys and values of the step's tokens into the cache; k, v: float32 rows of `stride` bytes."""

    head_dim: int
    cache_type: str
    arguments: ClassVar = ("k", "v", "keys", "values", "stride", "n_head_kv", "n_ctx")

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Shared by heads of tokens."""
        size, dim, b = CACHE_BYTES[self.cache_type], self.head_dim, LANES
        first, last = k.share(k.step.n_tokens * k.args.n_head_kv)
        with k.loop(first, last) as item:
            token, head = item // k.args.n_head_kv, item % k.args.n_head_kv
            position = k.step.n_past + token
            source = token * k.args.stride + head * (4 * dim)
            cached = head * k.args.n_ctx * (size * dim)
            keys = k.pointer("keys")[cached + position // b * (b * dim * size) + position % b * size]
            values = k.pointer("values")[cached + position * (size * dim)]
            n = lanes_for(dim, isa.rows)
            for column in range(0, dim, n):
                key = self._narrow(k, isa, k.pointer("k")[source + 4 * column].load(lanes(F32, n), 4))
                for i in range(n):
                    keys[(column + i) * b * size].store(key.lane(i), size)
                values[column * size].store(
                    self._narrow(k, isa, k.pointer("v")[source + 4 * column].load(lanes(F32, n), 4)), size
                )

    def _narrow(self, k: Kernel, isa: Generic, x: Vec) -> Vec:
        return x if self.cache_type == "f32" else isa.narrow_half(k, x)
