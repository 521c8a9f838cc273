"""Products of pairs (a token and an expert that it chose), grouped by expert, and the mixture of their values.

`Arrange` sorts the pairs by expert. Each expert's pairs are columns of its matrix, in panels of their own, so that its
weights are read once however many tokens chose it, and only those of experts that were chosen. The order of additions
is that of `product.py`: a pair's value does not depend on what else its expert computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Key, Shares, Turns
from llamachat.engine.backend.cpu.jit.values import F32, I32, I64, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.activations import quantize_group
from llamachat.engine.backend.cpu.kernels.few_columns import few_columns
from llamachat.engine.backend.cpu.kernels.float_product import FloatRows
from llamachat.engine.backend.cpu.kernels.functions import sigmoid
from llamachat.engine.backend.cpu.kernels.many_columns import many_columns
from llamachat.engine.backend.cpu.kernels.of_format import FormatKernel
from llamachat.engine.backend.cpu.kernels.panel import GROUP, Record
from llamachat.engine.backend.cpu.kernels.rows import Task
from llamachat.engine.backend.cpu.kernels.tile import Tile
from llamachat.engine.quants import STORED

HEAD: Final = 16
"""Bytes of an arrangement before its entries: how many experts were chosen, and how many panels they have."""

ENTRY: Final = 16
"""Bytes of an entry: an expert and its first panel. One more entry has the number of panels."""


@dataclass(frozen=True)
class Layout:
    """Where things lie in an arrangement of at most n_pairs pairs of n_expert experts, in panels of `columns`."""

    n_expert: int
    n_pairs: int
    columns: int

    @property
    def n_active(self) -> int:
        """Experts that are chosen, at most."""
        return min(self.n_expert, self.n_pairs)

    @property
    def n_columns(self) -> int:
        """Columns of all panels, at most."""
        return self.columns * (self.n_active + (self.n_pairs - self.n_active) // self.columns)

    @property
    def counts(self) -> int:
        """Where an i64 for each expert lies: how many chose it, then its next column."""
        return HEAD + ENTRY * (self.n_active + 1)

    @property
    def pairs(self) -> int:
        """Where the pair of each column lies, an i32."""
        return self.counts + 8 * self.n_expert

    @property
    def bytes(self) -> int:
        """Of all."""
        return self.pairs + 4 * self.n_columns


@dataclass(frozen=True)
class Arrange(KernelSpec):
    """The pairs of each expert as columns of its panels, in their order.

    chosen: an int32 for each of n_used pairs of a row, `row` bytes apart; order: what is written, see `Layout`, with
    `counts` and `pairs` counted from its beginning; columns: of a panel; nobody: the row that columns without a pair go
    to. of_token: there is one token at most, so that the thread does it that has routed it.
    """

    of_token: bool
    arguments: ClassVar = (
        *("chosen", "order", "count", "n_used", "row", "n_expert", "columns", "counts", "pairs", "nobody"),
    )
    reads: ClassVar = ("chosen",)
    writes: ClassVar = ("order",)

    @property
    def broadcast(self) -> tuple[str, ...]:  # type: ignore[override]
        """What one thread reads of others' pairs."""
        return () if self.of_token else ("chosen",)

    @property
    def split(self) -> Shares:
        """One item: all."""
        return Shares() if self.of_token else Shares("")

    def emit(self, k: Kernel, isa: Generic) -> None:
        """One thread counts, places the experts and then the pairs."""
        first, last = self.split.share(k)
        with k.when(last > first):
            self._count(k)
            self._place_experts(k)
            with k.loop(0, k.count() * k.args.n_used) as pair:
                at = self._counter(k, self._expert(k, pair))
                column = at.load(I64, 8)
                self._pair(k, column).store(pair.cut(I32), 4)
                at.store(column + 1, 8)

    def _count(self, k: Kernel) -> None:
        with k.loop(0, k.args.n_expert) as expert:
            self._counter(k, expert).store(k.number(0), 8)
        with k.loop(0, k.count() * k.args.n_used) as pair:
            at = self._counter(k, self._expert(k, pair))
            at.store(at.load(I64, 8) + 1, 8)

    def _place_experts(self, k: Kernel) -> None:
        """Entries of the chosen ones; counters become their first columns, and columns without a pair are nobody's."""
        active, panels, columns = k.var(k.number(0)), k.var(k.number(0)), k.args.columns
        with k.loop(0, k.args.n_expert) as expert:
            at = self._counter(k, expert)
            count = at.load(I64, 8)
            with k.when(count > 0):
                start, n = panels.get(), (count + (columns - 1)) // columns
                self._entry(k, active.get(), expert, start)
                active.set(active.get() + 1)
                panels.set(start + n)
                at.store(start * columns, 8)
                with k.loop(start * columns + count, (start + n) * columns) as column:
                    self._pair(k, column).store(k.args.nobody.cut(I32), 4)
        self._entry(k, active.get(), k.args.n_expert, panels.get())
        for i, value in enumerate((active.get(), panels.get())):
            k.pointer("order")[8 * i].store(value, 8)

    def _expert(self, k: Kernel, pair: Vec) -> Vec:
        """Its number, whatever the memory holds."""
        number = k.pointer("chosen")[pair * k.args.row].load(I32, 4).unsigned(I64)
        return number.min(k.args.n_expert - 1)

    def _counter(self, k: Kernel, expert: Vec) -> Ptr:
        return k.pointer("order")[k.args.counts + expert * 8]

    def _pair(self, k: Kernel, column: Vec) -> Ptr:
        return k.pointer("order")[k.args.pairs + column * 4]

    def _entry(self, k: Kernel, number: Vec, expert: Vec, panel: Vec) -> None:
        at = k.pointer("order")[HEAD][number * ENTRY]
        at.store(expert, 8)
        at[8].store(panel, 8)


def _pair_of(k: Kernel, column: Vec) -> Vec:
    """The pair of a column of an arrangement."""
    return k.pointer("order")[k.args.pairs + column * 4].load(I32, 4).signed(I64)


@dataclass(frozen=True)
class GatherPanels(KernelSpec):
    """Panels of an arrangement: rows of x, quantised, or copied for float weights.

    x: float32 rows of `stride` bytes with `width` values, one for every `each` pairs; nobody: the row of columns
    without a pair, of which nothing is read. panels: see `panel.py`.
    """

    columns: int
    quantised: bool
    arguments: ClassVar = ("x", "order", "panels", "pairs", "nobody", "each", "width", "stride")
    reads: ClassVar = ("x", "order")
    writes: ClassVar = ("panels",)
    broadcast: ClassVar = ("x", "order")
    split: ClassVar = Turns()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Panels in turn, each in pieces of 32 values; threads begin at different ones of these."""
        n_panels, groups = k.pointer("order")[8].load(I64, 8), (k.args.width + (GROUP - 1)) // GROUP
        with self.split.loop(k, n_panels * groups) as item:
            panel, group = item // groups, item % groups
            with k.loop(panel * self.columns, (panel + 1) * self.columns) as column:
                pair = _pair_of(k, column)
                with k.when(pair < k.args.nobody):
                    x = k.pointer("x")[pair // k.args.each * k.args.stride][group * (4 * GROUP)]
                    self._write(k, isa, x, item, column - panel * self.columns)

    def _write(self, k: Kernel, isa: Generic, x: Ptr, item: Vec, column: Vec) -> None:
        if self.quantised:
            record = Record(self.columns)
            quantize_group(k, isa, x, k.pointer("panels")[item * record.bytes], record, column)
            return
        groups = (k.args.width + (GROUP - 1)) // GROUP
        panel, first = item // groups, item % groups * GROUP
        to = k.pointer("panels")[(panel * k.args.width + first) * (4 * self.columns)][column * 4]
        with k.loop(0, (k.args.width - first).min(GROUP)) as i:
            to[i * (4 * self.columns)].store(x[i * 4].load(F32, 4), 4)


@dataclass(frozen=True)
class ByExpert:
    """Each thread takes one contiguous share of the work: units of rows of all chosen experts, counted in panels."""

    def key(self, arguments: Mapping[str, object]) -> Key:
        """Launches with one arrangement and as many units share them in the same way."""
        return ("experts", arguments["order"], arguments["units"])

    def loop(self, k: Kernel, columns: int, each: Callable[[Task, Vec, Vec], None]) -> None:
        """each(task, first unit, last unit) is emitted for every expert of which this thread has units."""
        order, units = k.pointer("order"), k.args.units
        work = order[8].load(I64, 8) * units
        begin, end = (work * t // k.n_threads for t in (k.thread, k.thread + 1))
        with k.loop(0, order.load(I64, 8)) as number:
            entry = order[HEAD][number * ENTRY]
            expert, panel, following = entry.load(I64, 8), entry[8].load(I64, 8), entry[ENTRY + 8].load(I64, 8)
            panels = following - panel
            first, last = ((((at - panel * units).max(0) + (panels - 1)) // panels).min(units) for at in (begin, end))
            with k.when(last > first):
                each(self._task(k, columns, expert, panel, panels), first, last)

    def _task(self, k: Kernel, columns: int, expert: Vec, panel: Vec, panels: Vec) -> Task:
        """One column: its panel is that of x's own row, or with several that of the arrangement."""
        bias = (k.args.bias > 0).select(k.args.bias + expert * k.args.bias_stride, 0)
        one = k.table("one", I32, [0x3F800000]).address
        scale = Ptr((k.args.scales > 0).select(k.args.scales + expert * 4, one)).load(F32, 4)

        def pair(column: Vec) -> Vec:
            return _pair_of(k, panel * columns + column)

        return Task(
            k.pointer("tiles")[expert * k.args.expert_bytes],
            bias,
            panels,
            (lambda i: pair(i) // k.args.each) if columns == 1 else lambda i: panel + i,
            lambda column: pair(column) * k.args.stride,
            scale,
        )


_ARGUMENTS: Final = (
    *("tiles", "expert_bytes", "x", "y", "bias", "bias_stride", "scales", "other", "mode", "order", "pairs", "each"),
    *("units", "blocks", "stride", "scratch", "room"),
)


@dataclass(frozen=True)
class ExpertProduct(FormatKernel):
    """y[pair] = W[expert of the pair] x, then bias and mode: see `Product`, of which all arguments not named here are.

    tiles: of expert 0, expert_bytes from one to the next; bias: of expert 0, bias_stride to the next, or 0; scales:
    float32 [n_expert], or 0; order: an arrangement, with the pairs of columns from byte `pairs` on; x: its panels; with
    one column those of rows that serve `each` pairs; y and other have a row for each pair, and y one for nobody.
    """

    columns: int
    direct: bool
    arguments: ClassVar = _ARGUMENTS
    reads: ClassVar = ("x", "other", "order")
    writes: ClassVar = ("y", "scratch")
    broadcast: ClassVar = ("x", "order")
    split: ClassVar = ByExpert()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Expert by expert."""
        tile = Tile(STORED[self.format].format, isa.rows)
        emit_rows = few_columns if self.direct else many_columns

        def rows(task: Task, first: Vec, last: Vec) -> None:
            with k.loop(first, last) as unit, k.when(k.not_cancelled()):
                emit_rows(self.columns, k, isa, tile, task, unit)

        self.split.loop(k, self.columns, rows)


@dataclass(frozen=True)
class FloatExpertProduct(KernelSpec):
    """The same for F32, F16 and BF16 weights and float activations."""

    format: str
    columns: int
    arguments: ClassVar = _ARGUMENTS
    reads: ClassVar = ExpertProduct.reads
    writes: ClassVar = ExpertProduct.writes
    broadcast: ClassVar = ExpertProduct.broadcast
    split: ClassVar = ExpertProduct.split

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Expert by expert."""

        def rows(task: Task, first: Vec, last: Vec) -> None:
            with k.loop(first, last) as unit, k.when(k.not_cancelled()):
                FloatRows(self.format, self.columns).emit(k, isa, task, unit)

        self.split.loop(k, self.columns, rows)


@dataclass(frozen=True)
class Mix(KernelSpec):
    """y = other + the sum over a token's pairs of share * x, from the first to the last.

    x: float32 rows of `stride` bytes, n_used of them for each row of y; share: a float32 for each, share_row bytes
    apart, or 0 for ones; other: rows like y's, or 0.
    """

    arguments: ClassVar = ("x", "share", "other", "y", "count", "n_used", "stride", "share_row")
    reads: ClassVar = ("x", "share", "other")
    writes: ClassVar = ("y",)
    broadcast: ClassVar = ("x", "share")
    split: ClassVar = Shares()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Token by token, as norms are, so that nothing waits for others between them."""
        kind, args = lanes(F32, 16), k.args
        first, last = self.split.share(k)
        with k.loop(first, last) as token, k.loop(0, args.stride, 64) as at:
            total = k.var(k.zeros(kind))
            with k.loop(token * args.n_used, (token + 1) * args.n_used) as pair:
                share = k.var(k.constant(F32, 1.0))
                with k.when(args.share > 0):
                    share.set(k.pointer("share")[pair * args.share_row].load(F32, 4))
                x = k.pointer("x")[pair * args.stride + at].load(kind, 4)
                total.set(isa.fma(k, x, share.get().splat(16), total.get()))
            with k.when(args.other > 0):
                total.set(total.get() + k.pointer("other")[token * args.stride + at].load(kind, 4))
            k.pointer("y")[token * args.stride + at].store(total.get(), 4)


@dataclass(frozen=True)
class ScaleRows(KernelSpec):
    """y = x * share: y has `each` rows of `stride` bytes for every row of x; share: a float32 each, share_row apart."""

    arguments: ClassVar = ("x", "share", "y", "count", "each", "stride", "share_row")
    reads: ClassVar = ("x", "share")
    writes: ClassVar = ("y",)
    broadcast: ClassVar = ("x",)
    split: ClassVar = Shares()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Row by row."""
        kind, first_last = lanes(F32, isa.rows), self.split.share(k)
        with k.loop(*first_last) as row, k.loop(0, k.args.stride, 4 * isa.rows) as at:
            share = k.pointer("share")[row * k.args.share_row].load(F32, 4).splat(isa.rows)
            x = k.pointer("x")[row // k.args.each * k.args.stride + at].load(kind, 4)
            k.pointer("y")[row * k.args.stride + at].store(x * share, 4)


@dataclass(frozen=True)
class ClampedGlu(KernelSpec):
    """y = g sigmoid(alpha g) (u + 1), g = min(gate, limit), u = up between -limit and limit; rows of `stride` bytes."""

    arguments: ClassVar = ("gate", "up", "y", "count", "stride", "alpha", "limit")
    reals: ClassVar = ("alpha", "limit")
    reads: ClassVar = ("gate", "up")
    writes: ClassVar = ("y",)
    split: ClassVar = Shares()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Row by row."""
        kind = lanes(F32, isa.rows)
        first, last = self.split.share(k)
        with k.loop(first * k.args.stride, last * k.args.stride, 4 * isa.rows) as at:
            gate, up = (k.pointer(name)[at].load(kind, 4) for name in ("gate", "up"))
            limit = k.real("limit").splat(isa.rows)
            g = (gate > limit).select(limit, gate)  # what is no number stays none
            u = (up > limit).select(limit, (up < limit * -1.0).select(limit * -1.0, up))
            value = g * sigmoid(k, isa, g * k.real("alpha")) * (u + 1.0)
            k.pointer("y")[at].store(value, 4)
