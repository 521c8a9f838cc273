"""Attention among all rows of a text, in both directions: nothing of it is kept.

A step's texts follow each other. First the keys are laid LANES rows side by side (`GroupKeys`), each text's from a
group of its own on. Order of additions, whatever else is in the step: a score adds dimensions from first to last, then
score * scale (+ bias); a sum of weights adds keys l, l + LANES, ... in lane l and then the lanes as a tree; an output
adds keys from first to last and is divided by the sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares, Turns
from llamachat.engine.backend.cpu.jit.values import F32, I32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.functions import exp2_below
from llamachat.engine.backend.cpu.kernels.norm import LANES, lanes_for

QUERIES = 4
"""Neighbouring rows of a text that share what is read of its keys and values."""
MASKED = -1e30
"""The score of rows behind the text's last one."""


@dataclass(frozen=True)
class Text:
    """Rows begin .. end - 1 of the step; `place`: that of its first row among the grouped keys, a multiple of LANES."""

    begin: Vec
    end: Vec
    place: Vec


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
class TextAttention(KernelSpec):
    """y = softmax(q k^T scale + bias) v for rows of texts.

    q, v, y: float32 rows of q_stride, v_stride, y_stride bytes; keys: as `GroupKeys` writes them; n_group heads share a
    key/value head. bias: float32 [n_head][bias_bytes], at `bias_zero` bytes that of distance 0, all times log2(e), with
    LANES numbers more than distances. scratch: `room` bytes for each thread, a multiple of 4 * LANES * QUERIES.
    """

    head_dim: int
    value_dim: int
    n_group: int
    packed: bool
    has_bias: bool
    arguments: ClassVar = (
        *("q", "keys", "v", "y", "q_stride", "v_stride", "y_stride", "count", "n_head", "head_bytes", "scale"),
        *("bias", "bias_bytes", "bias_zero", "scratch", "room"),
    )
    reals: ClassVar = ("scale",)
    reads: ClassVar = ("q", "keys", "v")
    writes: ClassVar = ("y", "scratch")
    split: ClassVar = Turns()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """A few rows of a head at a time: together where they are of one text, else one after the other."""
        n_blocks = (k.count() + (QUERIES - 1)) // QUERIES
        with self.split.loop(k, n_blocks * k.args.n_head) as i, k.when(k.not_cancelled()):
            row, head = i // k.args.n_head * QUERIES, i % k.args.n_head
            end = (row + QUERIES).min(k.count())
            last = end - 1
            text = text_of(k, row, self.packed)
            together = (row + QUERIES).equals(end) & (text.end >= end)
            with k.when(together):
                self._rows(k, isa, row, head, QUERIES)
            with (
                k.when((end > row) & together.select(k.number(0), k.number(1)).equals(1)),
                k.loop(row, last + 1) as one,
            ):
                self._rows(k, isa, one, head, 1)

    def _rows(self, k: Kernel, isa: Generic, row: Vec, head: Vec, n: int) -> None:
        """The outputs of n neighbouring rows of a text."""
        text, head_kv = text_of(k, row, self.packed), head // self.n_group
        scores = k.pointer("scratch")[k.thread * k.args.room]
        per_row = k.args.room // QUERIES
        rows = [scores[per_row * r] for r in range(n)]
        keys = k.pointer("keys")[head_kv * k.args.head_bytes + text.place * (4 * self.head_dim)]
        queries = [k.pointer("q")[(row + r) * k.args.q_stride + head * (4 * self.head_dim)] for r in range(n)]
        tops = self._score(k, isa, (text, row, head), keys, queries, rows)
        totals = self._weigh(k, isa, text, rows, tops)
        self._add_values(k, isa, (text, row, head), rows, totals)

    def _score(
        self, k: Kernel, isa: Generic, where: tuple[Text, Vec, Vec], keys: Ptr, queries: list[Ptr], rows: list[Ptr]
    ) -> list[Vec]:
        """Scores times log2(e) of all keys into `rows`; returns the largest of each."""
        text, row, head = where
        kind, scale = lanes(F32, LANES), (k.real("scale") * math.log2(math.e)).splat(LANES)
        n_keys = text.end - text.begin
        masked = k.constant(kind, MASKED)
        largest = [k.var(masked) for _ in rows]
        with k.loop(0, n_keys, LANES) as key:
            group = keys[key * (4 * self.head_dim)]
            sums = [k.var(k.zeros(kind)) for _ in rows]
            with k.loop(0, self.head_dim) as d:
                one = group[d * (4 * LANES)].load(kind, 4)
                for query, total in zip(queries, sums, strict=True):
                    total.set(isa.fma(k, one, query[d * 4].load(F32, 4).splat(LANES), total.get()))
            exists = k.ramp(LANES) < (n_keys - key).cut(I32).splat(LANES)
            for r, (total, at, top) in enumerate(zip(sums, rows, largest, strict=True)):
                score = total.get() * scale
                if self.has_bias:
                    distance = (key - (row - text.begin + r)) * 4
                    place = k.pointer("bias")[head * k.args.bias_bytes + k.args.bias_zero + distance]
                    score = score + place.load(kind, 4)
                score = exists.select(score, masked)
                at[key * 4].store(score, 4)
                top.set(top.get().max(score))
        return [top.get().reduce(lambda a, b: a.max(b)) for top in largest]

    def _weigh(self, k: Kernel, isa: Generic, text: Text, rows: list[Ptr], tops: list[Vec]) -> list[Vec]:
        """Scores become weights; returns their sums."""
        kind = lanes(F32, LANES)
        totals = [k.var(k.zeros(kind)) for _ in rows]
        with k.loop(0, text.end - text.begin, LANES) as key:
            for at, top, total in zip(rows, tops, totals, strict=True):
                weight = exp2_below(k, isa, at[key * 4].load(kind, 4) - top.splat(LANES))
                at[key * 4].store(weight, 4)
                total.set(total.get() + weight)
        return [total.get().reduce(lambda a, b: a + b) for total in totals]

    def _add_values(
        self, k: Kernel, isa: Generic, where: tuple[Text, Vec, Vec], rows: list[Ptr], totals: list[Vec]
    ) -> None:
        """weights x values / sum, a register of columns at a time."""
        text, row, head = where
        n = lanes_for(self.value_dim)
        kind, head_kv = lanes(F32, n), head // self.n_group
        values = k.pointer("v")[text.begin * k.args.v_stride + head_kv * (4 * self.value_dim)]
        with k.loop(0, 4 * self.value_dim, 4 * n) as column:
            sums = [k.var(k.zeros(kind)) for _ in rows]
            with k.loop(0, text.end - text.begin) as key:
                value = values[key * k.args.v_stride][column].load(kind, 4)
                for at, total in zip(rows, sums, strict=True):
                    total.set(isa.fma(k, value, at[key * 4].load(F32, 4).splat(n), total.get()))
            for r, (total, weight) in enumerate(zip(sums, totals, strict=True)):
                y = k.pointer("y")[(row + r) * k.args.y_stride + head * (4 * self.value_dim)]
                y[column].store(total.get() / weight.splat(n), 4)
