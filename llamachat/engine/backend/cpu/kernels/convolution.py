"""What looks at a row and the few before it. Threads share columns; each takes all rows of the step, in their order.

The rows before lie in the sequence's state, float32 [n, width], the oldest first. While rows of one sequence follow one
another they are in registers. Order of additions: bias, then the oldest row first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.functions import silu


class Before:
    """The last `count` rows of some columns of the sequence whose row is computed; at: where they lie in its state."""

    def __init__(self, k: Kernel, kind: Any, count: int, at: Vec, row_bytes: Vec) -> None:
        self._k, self._at, self._row_bytes = k, at, row_bytes
        self._cache = k.var(k.number(0))
        self._rows = [k.var(k.zeros(kind)) for _ in range(count)]

    def enter(self, t: Vec) -> list[Vec]:
        """The rows before row t, the oldest first."""
        cache = self._k.row(t).cache
        with self._k.when((cache ^ self._cache.get()) > 0):
            self.leave()
            for i, row in enumerate(self._rows):
                row.set(self._place(cache, i).load(row.get().type, 4))
            self._cache.set(cache)
        return [row.get() for row in self._rows]

    def add(self, value: Vec) -> None:
        """The row itself, behind the others."""
        for row, following in zip(self._rows, [*(one.get() for one in self._rows[1:]), value], strict=False):
            row.set(following)

    def leave(self) -> None:
        """Writes them back."""
        with self._k.when(self._cache.get() > 0):
            for i, row in enumerate(self._rows):
                self._place(self._cache.get(), i).store(row.get(), 4)

    def _place(self, cache: Vec, i: int) -> Ptr:
        return Ptr(cache)[self._at + self._row_bytes * i]


@dataclass(frozen=True)
class Convolution(KernelSpec):
    """y[t] = sum over j of weight[:, j] * x[t - taps + 1 + j] + bias; weight [width, taps].

    x, y: rows of `stride` bytes; silu: whether y goes through it, 0 or 1; bias: an address or 0; at: where
    the state is; items: width / lanes.
    """

    lanes: int
    taps: int
    arguments: ClassVar = ("x", "y", "weight", "bias", "silu", "at", "items", "x_stride", "y_stride")
    reads: ClassVar = ("x",)
    broadcast: ClassVar = ("x",)
    writes: ClassVar = ("y", "state")
    split: ClassVar = Shares("", ("items",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Some columns, row by row."""
        kind, width = lanes(F32, self.lanes), k.args.items * (4 * self.lanes)
        first, last = self.split.share(k)
        with k.loop(first * (4 * self.lanes), last * (4 * self.lanes), 4 * self.lanes) as column:
            weights = self._weights(k.pointer("weight")[column * self.taps])
            bias = k.var(k.zeros(kind))
            with k.when(k.args.bias > 0):
                bias.set(k.pointer("bias")[column].load(kind, 4))
            before = Before(k, kind, self.taps - 1, k.args.at + column, width)
            with k.loop(0, k.step.n_tokens) as t:
                x, total = k.pointer("x")[t * k.args.x_stride + column].load(kind, 4), bias.get()
                for row, weight in zip([*before.enter(t), x], weights, strict=True):
                    total = isa.fma(k, row, weight, total)
                before.add(x)
                y = k.var(total)
                with k.when(k.args.silu > 0):
                    y.set(silu(k, isa, total))
                k.pointer("y")[t * k.args.y_stride + column].store(y.get(), 4)
            before.leave()

    def _weights(self, at: Ptr) -> list[Vec]:
        """Of `lanes` columns the weight of each tap: a transposition in registers."""
        n = self.lanes
        parts = [at[4 * n * i].load(lanes(F32, n), 4) for i in range(self.taps)]
        if n == 1:
            return parts
        found = []
        for tap in range(self.taps):
            places = [divmod(lane * self.taps + tap, n) for lane in range(n)]
            value = parts[0].shuffle([lane if part == 0 else 0 for part, lane in places])
            for i in range(1, self.taps):
                value = value.merge(parts[i], [n + at if part == i else own for own, (part, at) in enumerate(places)])
            found.append(value)
        return found


@dataclass(frozen=True)
class Shift(KernelSpec):
    """y[t] = x[t - 1]; x, y: rows of `stride` bytes; at: where the state is; items: width / lanes."""

    lanes: int
    arguments: ClassVar = ("x", "y", "at", "items", "stride")
    reads: ClassVar = ("x",)
    broadcast: ClassVar = ("x",)
    writes: ClassVar = ("y", "state")
    split: ClassVar = Shares("", ("items",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Some columns, row by row."""
        kind = lanes(F32, self.lanes)
        first, last = self.split.share(k)
        with k.loop(first * (4 * self.lanes), last * (4 * self.lanes), 4 * self.lanes) as column:
            before = Before(k, kind, 1, k.args.at + column, k.number(0))
            with k.loop(0, k.step.n_tokens) as t:
                at = t * k.args.stride + column
                (row,) = before.enter(t)
                before.add(k.pointer("x")[at].load(kind, 4))
                k.pointer("y")[at].store(row, 4)
            before.leave()
