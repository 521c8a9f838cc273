"""The work of one item of attention: some query rows that share a key/value head, over chunks of its cache.

See `attention` for the order of additions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I32, I64, Ptr, Var, Vec, lanes
from llamachat.engine.backend.cpu.kernels.cache import chunk_of, key_group
from llamachat.engine.backend.cpu.kernels.cache_formats import CACHE_FORMATS, CHUNK, BlockCache
from llamachat.engine.backend.cpu.kernels.functions import exp2_below
from llamachat.engine.backend.cpu.kernels.latent_values import LatentValues
from llamachat.engine.backend.cpu.kernels.norm import LANES, lanes_for
from llamachat.engine.backend.cpu.kernels.scores import Ahead, Keys, scores_of
from llamachat.engine.backend.cpu.kernels.weighted_values import ROW, Weights, weighted

NO_WINDOW = (1 << 31) - 1
"""The argument `window` of layers that see everything."""
MASKED = -1e30  # the score of keys that are not seen; finite, so that differences of two are numbers
LOWEST = 1 << 31
LOG2_E = math.log2(math.e)
Finish = Callable[[Vec, Vec, Vec], None]


@dataclass(frozen=True)
class Heads:
    """What attention of a layer is, wherever its work is cut: n_group query heads share a key/value head.

    key_dim: of queries and keys; value_dim: of values and what comes out. has_cap, has_slopes, has_chunks, has_bias:
    whether the launch's `cap`, `slopes`, `chunk`, `bias` mean anything. latent: one head of keys serves all, and values
    are the keys' last numbers. encoded: keys are an encoder's rows, all of which are seen.

    The factor of scores, the window and these are arguments of a launch, so that layers share kernels that differ in
    them.
    """

    key_dim: int
    value_dim: int
    n_group: int
    type_k: str
    type_v: str
    has_cap: bool = False
    has_slopes: bool = False
    has_chunks: bool = False
    has_bias: bool = False
    latent: bool = False
    encoded: bool = False


def query_rows(heads: Heads, isa: Generic) -> int:
    """Rows that are computed at once: products with blocks need two sums for each, two times two words, and a row's."""
    in_blocks = any(isinstance(CACHE_FORMATS[name], BlockCache) for name in (heads.type_k, heads.type_v))
    return min(isa.query_rows, (isa.registers - 6) // 2) if in_blocks else isa.query_rows


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


def part_bytes(value_dim: int) -> int:
    """Size of a part of one head: maximum, sum, output."""
    return 4 * (2 + value_dim)


def scratch_bytes(heads: Heads, rows: Rows) -> int:
    """Room for queries, scores, products, outputs, maxima and sums of an item."""
    query = scores_of(CACHE_FORMATS[heads.type_k]).query_bytes(heads.key_dim)
    return rows.padded * (query + 4 * (heads.value_dim + 4) + ROW) + rows.block * ROW


def sum_of_seen(k: Kernel, top: Vec, total: Vec) -> Vec:
    """The sum of a row's weights; NaN where no score is above MASKED, so that keys that are not seen count, too."""
    return (top > MASKED).select(total, k.constant(F32, math.nan))


def seen(k: Kernel, token: Vec, end: Vec, has_chunks: bool) -> tuple[Vec, Vec]:
    """[first, last) of the cells that tokens token .. end - 1 of the step see, all of one sequence."""
    cell = k.row(token).cell
    first = (cell - (k.args.window - 1)).max(0)
    return first.max(cell // k.args.chunk * k.args.chunk) if has_chunks else first, k.row(end - 1).cell + 1


def n_encoded(k: Kernel, token: Vec) -> Vec:
    """How many rows of an encoder the sequence of a token of the step keeps."""
    return Ptr(k.row(token).cache)[k.args.counter].load(I64, 8)


def with_sink(k: Kernel, isa: Generic, state: tuple[Vec, Vec], sink: Vec) -> tuple[Vec, Vec]:
    """(factor of the outputs, sum) of a row once another score, of a value of zero, has come in."""
    taken = merge_softmax(k, isa, state, (sink * LOG2_E, sink.like(1.0)))
    return taken.old_factor, taken.total


def _tanh(k: Kernel, isa: Generic, doubled: Vec) -> Vec:
    """tanh x of 2 x log2(e), with sign: (1 - t) / (1 + t), t = 2^-|that|; within 1e-7, which is enough for a score."""
    bits = doubled.as_(lanes(I32, doubled.count))
    t = exp2_below(k, isa, (bits | -0x80000000).as_(doubled.type))
    size = (doubled.like(1.0) - t) / (t + 1.0)
    return (size.as_(bits.type) | (bits & -0x80000000)).as_(doubled.type)


@dataclass(frozen=True)
class SoftmaxState:
    """A running softmax after another chunk; factors bring what was and what is new to one maximum."""

    top: Vec
    total: Vec
    old_factor: Vec
    factor: Vec


def merged(k: Kernel, isa: Generic, old: tuple[Vec, Vec], new: tuple[Vec, Vec]) -> Vec:
    """(output, factor) of what came before and of a chunk, as one output."""
    n = old[0].count
    return isa.fma(k, new[0], new[1].splat(n), old[0] * old[1].splat(n))


def merge_softmax(k: Kernel, isa: Generic, old: tuple[Vec, Vec], new: tuple[Vec, Vec]) -> SoftmaxState:
    """(maximum, sum) of what came before and of a chunk, as one."""
    top = old[0].max(new[0])
    old_factor, factor = exp2_below(k, isa, old[0] - top), exp2_below(k, isa, new[0] - top)
    return SoftmaxState(top, isa.fma(k, old[1], old_factor, new[1] * factor), old_factor, factor)


class Item:
    """Emits one item of work: the rows of some tokens and the heads that share one key/value head.

    asks: whether values are asked for while keys are multiplied, and the next chunk's keys while values are. Caches
    keep what several register blocks and tokens read.
    """

    def __init__(self, heads: Heads, rows: Rows, k: Kernel, isa: Generic, *, asks: bool) -> None:
        self.heads, self.k, self.isa, self.rows, self.asks = heads, k, isa, rows, asks
        self.type_k, self.type_v = CACHE_FORMATS[heads.type_k], CACHE_FORMATS[heads.type_v]
        n = rows.padded
        base = k.pointer("scratch")[k.thread * k.args.room]
        self.query_scores = scores_of(self.type_k)
        self.query_bytes = self.query_scores.query_bytes(heads.key_dim)
        self.queries, self.scores = base, base[n * self.query_bytes]
        self.products = self.scores[n * ROW]
        self.outputs = self.products[rows.block * ROW]
        self.maxima = self.outputs[4 * n * heads.value_dim]
        self.sums, self.old_factors, self.factors = (self.maxima[4 * n * i] for i in (1, 2, 3))
        loads = self.query_scores.loads(isa, rows.block)
        self.keys_per_load = next(n for n in (8, 4, 2, 1) if n <= max(1, loads))

    def place(self, token: Vec, head_kv: Vec, end: Vec) -> None:
        """Where the item lies: tokens token .. end - 1 of the step, and which key/value head."""
        self.token, self.end, self.head_kv, self.head = token, end, head_kv, head_kv * self.heads.n_group
        row = self.k.row(token)
        self.cell, self.cache = row.cell, Ptr(row.cache)
        if self.heads.encoded:
            self.cell = n_encoded(self.k, token) - 1

    def before(self, head_kv: Vec, chunk: Vec) -> None:
        """Which head's chunk comes after the one that is computed: its keys are asked for."""
        n_bytes = CHUNK * self.type_k.row_bytes(self.heads.key_dim) if self.asks else 0
        self.following = Ahead(self._keys_of(head_kv, chunk), n_bytes)

    def _keys_of(self, head_kv: Vec, chunk: Vec) -> Ptr:
        """Where a head's keys begin in a chunk."""
        keys = chunk_of(self.k, self.cache, chunk)[self.k.args.keys]
        if self.heads.latent:
            return keys
        return keys[head_kv * (CHUNK * self.type_k.row_bytes(self.heads.key_dim))]

    def seen(self) -> tuple[Vec, Vec]:
        """[first, last) of the cells that one of the item's tokens sees."""
        if self.heads.encoded:
            return self.k.number(0), self.cell + 1
        return seen(self.k, self.token, self.end, self.heads.has_chunks)

    def _real_rows(self) -> Iterator[tuple[int, Vec, Vec]]:
        """(row, its token in the batch, number of its head) of the rows that are not padding."""
        for row in range(self.rows.count):
            token = self.token + row // self.heads.n_group
            yield row, token, self.head + row % self.heads.n_group

    def read_queries(self) -> None:
        """Queries times scale and log2(e), since weights are powers of two; those of padding are the first one."""
        k, dim, stride = self.k, self.heads.key_dim, self.k.args.q_stride
        scale = k.real("scale") * LOG2_E
        scale = scale / k.real("cap") * 2.0 if self.heads.has_cap else scale
        for row, token, head in self._real_rows():
            source = k.pointer("q")[token.min(k.step.n_tokens - 1) * stride + head * (4 * dim)]
            to = self.queries[row * self.query_bytes]
            self.query_scores.write_query(k, self.isa, source, to, dim, scale)
        for row in range(self.rows.count, self.rows.padded):
            with k.loop(0, self.query_bytes, 4) as at:
                self.queries[at + row * self.query_bytes].store(self.queries[at].load(I32, 4), 4)

    def begin_sums(self) -> None:
        """Outputs, sums and maxima of nothing."""
        k, dim, n = self.k, self.heads.value_dim, self.rows.padded
        with k.loop(0, 4 * n * dim, 4) as at:
            self.outputs[at].store(k.constant(F32, 0.0), 4)
        for row in range(n):
            self.maxima[4 * row].store(k.constant(F32, MASKED), 4)
            self.sums[4 * row].store(k.constant(F32, 0.0), 4)

    def add_chunk(self, chunk: Vec, first: Vec, last: Vec) -> None:
        """The softmax of a chunk's keys, merged into what came before."""
        start, begin, end = self._enter(chunk, first, last)
        with self.k.loop(0, self.rows.blocks) as block:
            row = block * self.rows.block
            tops = self._score(start, begin, end, row)
            for i, (top, total) in enumerate(zip(tops, self._weigh(begin, end, row, tops), strict=True)):
                self._merge_sums(row + i, top, total)
            self._add_values(begin, end, row, self._merge_outputs)

    def store_part(self, chunk: Vec, first: Vec, last: Vec, to: Ptr) -> None:
        """The softmax of a chunk's keys, on its own: a record for each head."""
        start, begin, end = self._enter(chunk, first, last)
        record = part_bytes(self.heads.value_dim)

        def store(row: Vec, at: Vec, value: Vec) -> None:
            with self.k.when(row < self.rows.count):
                to[row * record + 8][at].store(value, 4)

        with self.k.loop(0, self.rows.blocks) as block:
            row = block * self.rows.block
            tops = self._score(start, begin, end, row)
            for i, (top, total) in enumerate(zip(tops, self._weigh(begin, end, row, tops), strict=True)):
                with self.k.when(row + i < self.rows.count):
                    to[(row + i) * record].store(top, 4)
                    to[(row + i) * record + 4].store(total, 4)
            self._add_values(begin, end, row, store)

    def _enter(self, chunk: Vec, first: Vec, last: Vec) -> tuple[Vec, Vec, Vec]:
        """The chunk's first cell, and which of its keys, [begin, end), are among the cells first .. last - 1."""
        k, place = self.k, chunk_of(self.k, self.cache, chunk)
        self.keys = self._keys_of(self.head_kv, chunk)
        if self.heads.latent:
            self.values = self.keys
        else:
            self.values = place[k.args.values][self.head_kv * (CHUNK * self.type_v.row_bytes(self.heads.value_dim))]
        start = chunk * CHUNK
        return start, (first - start).max(0), (last - start).min(CHUNK)

    def _score(self, start: Vec, begin: Vec, end: Vec, row: Vec) -> list[Vec]:
        """scores[row][key] = q . k of the chunk's keys begin .. end - 1, and of some around them that are masked.

        Returns the maximum of each row of the block.
        """
        k, b, block = self.k, self.isa.rows, self.rows.block
        step = max(LANES, b * self.keys_per_load)
        none = k.constant(lanes(F32, b), MASKED)
        largest = [k.var(none) for _ in range(block)]
        with k.loop(begin // step * step, end, step) as first:
            for key in range(0, step, b * self.keys_per_load):
                for r, scores in enumerate(self._multiply(first + key, row)):
                    away = self._cell_of(row + r) - start - first - key
                    for i, score in enumerate(self._shaped(row + r, away, scores)):
                        self.scores[(row + r) * ROW + (first + key + i * b) * 4].store(score, 4)
                        largest[r].set(largest[r].get().max(score))
        with k.when(self._sees_all(start, row).equals(0)):
            for one in largest:
                one.set(none)
            self._mask(start, (begin // step * step, (end + (step - 1)) // step * step), row, largest)
        return [one.get().reduce(lambda x, y: x.max(y)) for one in largest]

    def _cell_of(self, row: Vec) -> Vec:
        """The cell of a row's token."""
        return self.cell + row // self.heads.n_group

    def _sees_all(self, start: Vec, row: Vec) -> Vec:
        """Whether every row of a block sees the whole chunk, as all but a few items do: then nothing is masked."""
        first, last = (self._cell_of(row + r) - start for r in (0, self.rows.block - 1))
        sees = (first >= CHUNK - 1) & (last < self.k.args.window)
        if self.heads.has_chunks:
            sees = sees & (last < (self._cell_of(row) % self.k.args.chunk + 1))
        return sees

    def _mask(self, start: Vec, keys: tuple[Vec, Vec], row: Vec, largest: list[Var]) -> None:
        """Scores of keys that a row does not see become MASKED; finds the largest of those that are left.

        A row sees a key if 0 <= its cell - the key's < window: one comparison of integers where both are moved down to
        the lowest.
        """
        k, b = self.k, self.isa.rows
        limits, masked = self._limits(row), k.constant(lanes(F32, b), MASKED)
        with k.loop(*keys, b) as key:
            for r, (limit, top) in enumerate(zip(limits, largest, strict=True)):
                at = self.scores[(row + r) * ROW + key * 4]
                away = (self._cell_of(row + r) - start - key - LOWEST).cut(I32).splat(b) - k.ramp(b)
                value = (away < limit).select(at.load(lanes(F32, b), 4), masked)
                at.store(value, 4)
                top.set(top.get().max(value))

    def _limits(self, row: Vec) -> list[Vec]:
        """For each row of a block how far away a key is that it no longer sees, moved down; one for all but in chunks.

        A chunk is a stretch of cells of its own: its first token sees one key.
        """
        k, block = self.k, self.rows.block
        if not self.heads.has_chunks:
            return [(k.args.window - LOWEST).cut(I32).splat(self.isa.rows)] * block
        cells = [self.cell + (row + r) // self.heads.n_group for r in range(block)]
        seen = [k.args.window.min(cell % k.args.chunk + 1) for cell in cells]
        return [(one - LOWEST).cut(I32).splat(self.isa.rows) for one in seen]

    def _shaped(self, row: Vec, away: Vec, scores: list[Vec]) -> list[Vec]:
        """A row's scores of neighbouring keys, the first of them `away` cells away, capped and lowered by distance."""
        k, isa, b = self.k, self.isa, self.isa.rows
        if self.heads.has_cap:
            cap = (k.real("cap") * LOG2_E).splat(b)
            scores = [cap * _tanh(k, isa, score) for score in scores]
        if self.heads.has_slopes:
            head = self.head + row % self.heads.n_group
            slope = (k.pointer("slopes")[head * 4].load(F32, 4) * -LOG2_E).splat(b)
            first = away.cut(I32).splat(b) - k.ramp(b)
            scores = [isa.fma(k, (first - i * b).to_float(), slope, score) for i, score in enumerate(scores)]
        if self.heads.has_bias:
            head = self.head + row % self.heads.n_group
            at = k.pointer("bias")[head * k.args.bias_bytes + k.args.bias_zero - away * 4]
            scores = [score + at[4 * i * b].load(lanes(F32, b), 4) for i, score in enumerate(scores)]
        return scores

    def _multiply(self, key: Vec, row: Vec) -> list[list[Vec]]:
        """q . k of a block of rows with the chunk's keys from `key` on, keys_per_load registers of them."""
        dim, queries = self.heads.key_dim, self.queries[row * self.query_bytes]
        cells = [key + i * self.isa.rows for i in range(self.keys_per_load)]
        keys = [Keys(key_group(self.keys, self.type_k, dim, cell), cell % LANES) for cell in cells]
        rows = [queries[r * self.query_bytes] for r in range(self.rows.block)]
        row_v = self.type_v.row_bytes(self.heads.value_dim)
        n_bytes = self.keys_per_load * self.isa.rows * row_v if self.asks and not self.heads.latent else 0
        ahead = Ahead(self.values[key * row_v], n_bytes)
        return self.query_scores.multiply(self.k, self.isa, keys, rows, dim, ahead)

    def _weigh(self, begin: Vec, end: Vec, row: Vec, tops: list[Vec]) -> list[Vec]:
        """Scores of a block of rows become weights; returns their sums."""
        k, isa, b = self.k, self.isa, LANES
        totals = [k.var(k.zeros(lanes(F32, b))) for _ in tops]
        for r, (top, total) in enumerate(zip(tops, totals, strict=True)):
            with k.loop(begin // b * b, end, b) as key:
                at = self.scores[(row + r) * ROW + key * 4]
                weight = exp2_below(k, isa, at.load(lanes(F32, b), 4) - top.splat(b))
                at.store(weight, 4)
                total.set(total.get() + weight)
        return [total.get().reduce(lambda x, y: x + y) for total in totals]

    def _merge_sums(self, row: Vec, top: Vec, total: Vec) -> None:
        """A row's maximum and sum take the chunk in; keeps the factors of both sides."""
        before = self.maxima[row * 4], self.sums[row * 4]
        taken = merge_softmax(self.k, self.isa, (before[0].load(F32, 4), before[1].load(F32, 4)), (top, total))
        places = (*before, self.old_factors[row * 4], self.factors[row * 4])
        values = (taken.top, taken.total, taken.old_factor, taken.factor)
        for place, value in zip(places, values, strict=True):
            place.store(value, 4)

    def _merge_outputs(self, row: Vec, at: Vec, value: Vec) -> None:
        """A register of a row's outputs takes the chunk in."""
        old_factor, factor = (p[row * 4].load(F32, 4) for p in (self.old_factors, self.factors))
        out = self.outputs[row * (4 * self.heads.value_dim)][at]
        old = out.load(value.type, 4), old_factor
        out.store(merged(self.k, self.isa, old, (value, factor)), 4)

    def _add_values(self, begin: Vec, end: Vec, row: Vec, finish: Finish) -> None:
        """weights x values of the chunk for a block of rows; finish(row, byte, register) keeps some outputs."""
        weights = Weights(self.scores[row * ROW], self.rows.block, begin, end, self.products, self.following)
        keep = partial(self._keep, finish, row)
        values = LatentValues(self.type_k, self.heads.key_dim) if self.heads.latent else weighted(self.type_v)
        values.add(self.k, self.isa, weights, self.values, self.heads.value_dim, keep)

    @staticmethod
    def _keep(finish: Finish, first: Vec, row: int, at: Vec, value: Vec) -> None:
        finish(first + row, at, value)

    def store_outputs(self, has_sinks: bool) -> None:
        """outputs / sums of the tokens that exist; a sink's share is no output."""
        k, dim = self.k, self.heads.value_dim
        n = lanes_for(dim, self.isa.rows)
        for row, token, head in self._real_rows():
            with k.when(token < k.step.n_tokens):
                top, total = (p[4 * row].load(F32, 4) for p in (self.maxima, self.sums))
                factor, whole = k.constant(F32, 1.0), total
                if has_sinks:
                    sink = k.pointer("sinks")[head * 4].load(F32, 4)
                    factor, whole = with_sink(k, self.isa, (top, total), sink)
                whole = sum_of_seen(k, top, whole).splat(n)
                with k.loop(0, 4 * dim, 4 * n) as at:
                    value = self.outputs[at + 4 * dim * row].load(lanes(F32, n), 4)
                    value = value * factor.splat(n) if has_sinks else value
                    k.pointer("y")[token * k.args.y_stride + head * (4 * dim) + at].store(value / whole, 4)
