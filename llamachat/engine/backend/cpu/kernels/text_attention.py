"""Attention among all rows of a text, in both directions: nothing of it is kept.

A step's texts follow each other. First the keys are laid LANES rows side by side (`GroupKeys`) and the values head by
head (`GroupValues`), each text's from a group of its own on. Order of additions, whatever else is in the step: a score
adds dimensions from first to last, then score * scale (+ bias); a sum of weights adds keys l, l + LANES, ... in lane l
and then the lanes as a tree; an output adds keys from first to last and is divided by the sum.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares, Turns
from llamachat.engine.backend.cpu.jit.values import F32, I32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.functions import exp2_below
from llamachat.engine.backend.cpu.kernels.norm import LANES, lanes_for

QUERIES = 12
"""Neighbouring rows that share what is read of keys and values where they are of one text."""
MASKED = -1e30
"""The score of rows behind the text's last one."""


@dataclass(frozen=True)
class Text:
    """Rows begin .. end - 1 of the step; `place`: that of its first row among the grouped keys, a multiple of LANES."""

    begin: Vec
    end: Vec
    place: Vec


@dataclass(frozen=True)
class Run:
    """Rows first .. last - 1 of an item, all of one text, and a head."""

    text: Text
    head: Vec
    first: Vec
    last: Vec


def room_of(n_keys: int) -> int:
    """Bytes of a thread's scratch for texts of at most so many rows: of each of QUERIES weights, then their sum."""
    return 4 * QUERIES * (-(-n_keys // LANES) + 1) * LANES


def text_of(k: Kernel, row: Vec, packed: bool) -> Text:
    """The text of a row: as the step says of its tokens where texts are packed, else all rows."""
    if not packed:
        return Text(k.number(0), k.count(), k.number(0))
    said = k.row(row)
    return Text(said.begin, said.end, said.cell - (row - said.begin))


@dataclass(frozen=True)
class GroupKeys(KernelSpec):
    """x: float32 rows of `stride` bytes, n_head heads each, to y [n_head][head_bytes]: groups [head_dim][LANES].

    packed: the rows are the step's tokens, of several texts.
    """

    head_dim: int
    packed: bool
    arguments: ClassVar = ("x", "y", "stride", "count", "n_head", "head_bytes")
    reads: ClassVar = ("x",)
    writes: ClassVar = ("y",)
    split: ClassVar = Shares("count", ("n_head",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Head by head of each row."""
        first, last = self.split.share(k)
        with k.loop(first, last) as item:
            row, head = item // k.args.n_head, item % k.args.n_head
            text = text_of(k, row, self.packed)
            place = text.place + row - text.begin
            x = k.pointer("x")[row * k.args.stride + head * (4 * self.head_dim)]
            group = k.pointer("y")[head * k.args.head_bytes + place // LANES * (4 * LANES * self.head_dim)]
            with k.loop(0, self.head_dim) as d:
                group[d * (4 * LANES)][place % LANES * 4].store(x[d * 4].load(F32, 4), 4)


@dataclass(frozen=True)
class GroupValues(GroupKeys):
    """The same of values, whose rows stay as they are: y [n_head][head_bytes] of rows of a head.

    Where a row of all heads takes 4 KB, rows of one head share a few places of the caches.
    """

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Head by head of each row."""
        first, last = self.split.share(k)
        n = lanes_for(self.head_dim, isa.rows)
        with k.loop(first, last) as item:
            row, head = item // k.args.n_head, item % k.args.n_head
            text = text_of(k, row, self.packed)
            x = k.pointer("x")[row * k.args.stride + head * (4 * self.head_dim)]
            y = k.pointer("y")[head * k.args.head_bytes + (text.place + row - text.begin) * (4 * self.head_dim)]
            with k.loop(0, 4 * self.head_dim, 4 * n) as at:
                y[at].store(x[at].load(lanes(F32, n), 4), 4)


@dataclass(frozen=True)
class TextAttention(KernelSpec):
    """y = softmax(q k^T scale + bias) v for rows of texts.

    q, y: float32 rows of q_stride and y_stride bytes; keys, values: as `GroupKeys` and `GroupValues` write them, heads
    of head_bytes and value_bytes; n_group heads share a key/value head. bias: float32 [n_head][bias_bytes], at
    `bias_zero` bytes that of distance 0, all times log2(e), with LANES numbers more than distances. scratch: `room`
    bytes for each thread, see `room_of`.
    """

    head_dim: int
    value_dim: int
    n_group: int
    packed: bool
    has_bias: bool
    arguments: ClassVar = (
        *("q", "keys", "values", "y", "q_stride", "y_stride", "count", "n_head", "head_bytes", "value_bytes", "scale"),
        *("bias", "bias_bytes", "bias_zero", "scratch", "room"),
    )
    reals: ClassVar = ("scale",)
    reads: ClassVar = ("q", "keys", "values")
    writes: ClassVar = ("y", "scratch")
    split: ClassVar = Turns()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Some rows of a head at a time: those of each text together."""
        n_blocks = (k.count() + (QUERIES - 1)) // QUERIES
        with self.split.loop(k, n_blocks * k.args.n_head) as i, k.when(k.not_cancelled()):
            row, head = i // k.args.n_head * QUERIES, i % k.args.n_head
            end, first = (row + QUERIES).min(k.count()), k.var(row)
            with k.while_() as leave_if:
                leave_if(first.get() >= end)
                text = text_of(k, first.get(), self.packed)
                last = end.min(text.end)
                run = Run(text, head, first.get(), last)
                self._score(k, isa, run)
                self._weigh(k, isa, run)
                self._add_values(k, isa, run)
                first.set(last)

    def _rows(self, k: Kernel, isa: Generic, run: Run) -> AbstractContextManager[Vec]:
        """A loop over the registers' blocks of a run's rows: the first row of each."""
        return k.loop(run.first, run.last, self._block(isa))

    @staticmethod
    def _block(isa: Generic) -> int:
        """Rows whose sums are in registers, each LANES wide."""
        return next(n for n in range(min(isa.query_rows, QUERIES), 0, -1) if QUERIES % n == 0)

    def _weights(self, k: Kernel, run: Run, row: Vec) -> Ptr:
        """A row's scores and weights."""
        return k.pointer("scratch")[k.thread * k.args.room + (row - run.first) * (k.args.room // QUERIES)]

    def _score(self, k: Kernel, isa: Generic, run: Run) -> None:
        """Scores times log2(e) of all keys; keys of no text become MASKED."""
        text, dim = run.text, self.head_dim
        kind, scale = lanes(F32, LANES), (k.real("scale") * math.log2(math.e)).splat(LANES)
        n_keys, masked = text.end - text.begin, k.constant(lanes(F32, LANES), MASKED)
        keys = k.pointer("keys")[run.head // self.n_group * k.args.head_bytes + text.place * (4 * dim)]
        with k.loop(0, n_keys, LANES) as key, self._rows(k, isa, run) as row:
            group = keys[key * (4 * dim)]
            rows = [(row + r).min(run.last - 1) for r in range(self._block(isa))]  # what is behind the last is it again
            queries = [k.pointer("q")[one * k.args.q_stride + run.head * (4 * dim)] for one in rows]
            sums = [k.var(k.zeros(kind)) for _ in rows]
            with k.loop(0, dim) as d:
                one = group[d * (4 * LANES)].load(kind, 4)
                for query, total in zip(queries, sums, strict=True):
                    total.set(isa.fma(k, one, query[d * 4].load(F32, 4).splat(LANES), total.get()))
            exists = k.ramp(LANES) < (n_keys - key).cut(I32).splat(LANES)
            for total, one_row in zip(sums, rows, strict=True):
                score = total.get() * scale
                if self.has_bias:
                    distance = (key - (one_row - text.begin)) * 4
                    place = k.pointer("bias")[run.head * k.args.bias_bytes + k.args.bias_zero + distance]
                    score = score + place.load(kind, 4)
                self._weights(k, run, one_row)[key * 4].store(exists.select(score, masked), 4)

    def _weigh(self, k: Kernel, isa: Generic, run: Run) -> None:
        """Scores become weights, row by row; their sum lies behind them."""
        kind, n_keys = lanes(F32, LANES), run.text.end - run.text.begin
        with k.loop(run.first, run.last) as row:
            weights = self._weights(k, run, row)
            largest, total = k.var(k.constant(kind, MASKED)), k.var(k.zeros(kind))
            with k.loop(0, n_keys, LANES) as key:
                largest.set(largest.get().max(weights[key * 4].load(kind, 4)))
            top = largest.get().reduce(lambda a, b: a.max(b)).splat(LANES)
            with k.loop(0, n_keys, LANES) as key:
                weight = exp2_below(k, isa, weights[key * 4].load(kind, 4) - top)
                weights[key * 4].store(weight, 4)
                total.set(total.get() + weight)
            weights[k.args.room // QUERIES - 4 * LANES].store(total.get().reduce(lambda a, b: a + b), 4)

    def _add_values(self, k: Kernel, isa: Generic, run: Run) -> None:
        """weights x values / sum, a register of columns at a time."""
        text, dim = run.text, self.value_dim
        n, n_keys = lanes_for(dim), text.end - text.begin
        values = k.pointer("values")[run.head // self.n_group * k.args.value_bytes + text.place * (4 * dim)]
        with self._rows(k, isa, run) as row, k.loop(0, 4 * dim, 4 * n) as column:
            rows = [(row + r).min(run.last - 1) for r in range(self._block(isa))]
            weights = [self._weights(k, run, one) for one in rows]
            sums = [k.var(k.zeros(lanes(F32, n))) for _ in rows]
            with k.loop(0, n_keys) as key:
                value = values[key * (4 * dim)][column].load(lanes(F32, n), 4)
                for at, total in zip(weights, sums, strict=True):
                    total.set(isa.fma(k, value, at[key * 4].load(F32, 4).splat(n), total.get()))
            for one, at, total in zip(rows, weights, sums, strict=True):
                whole = at[k.args.room // QUERIES - 4 * LANES].load(F32, 4).splat(n)
                y = k.pointer("y")[one * k.args.y_stride + run.head * (4 * dim)]
                y[column].store(total.get() / whole, 4)
