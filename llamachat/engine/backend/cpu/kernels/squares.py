"""Sums of squares of columns. Threads share columns; each takes all rows of the step, in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, I32, I64, Ptr, lanes


@dataclass(frozen=True)
class Squares(KernelSpec):
    """state[expert, column] += x^2, in each of `count` rows; the state is float32 [n_expert, width], at `at`.

    Behind it float32 [n_expert] count the rows of each, where there are experts. x: rows of `stride` bytes. pairs: how
    many rows a token has. With experts a row is a pair: its expert is the int32 in its row of `chosen`, `row` bytes
    apart, and `each` of them share a row of x. items: width / lanes.
    """

    lanes: int
    experts: bool
    arguments: ClassVar = ("x", "chosen", "count", "at", "items", "stride", "row", "each", "pairs", "n_expert")
    reads: ClassVar = ("x", "chosen")
    broadcast: ClassVar = ("x", "chosen")
    writes: ClassVar = ("state",)
    split: ClassVar = Shares("", ("items",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Row by row, then some columns."""
        kind, n_bytes = lanes(F32, self.lanes), 4 * self.lanes
        first, last = self.split.share(k)
        with k.loop(0, k.count()) as row:
            state = Ptr(k.row(row // k.args.pairs).cache)[k.args.at]
            x = k.pointer("x")[row // k.args.each * k.args.stride]
            if self.experts:
                expert = k.pointer("chosen")[row * k.args.row].load(I32, 4).unsigned(I64)
                with k.when(first.equals(0)), k.when(last > 0):  # an empty share begins at 0, too
                    one = state[k.args.n_expert * (k.args.items * n_bytes) + expert * 4]
                    one.store(one.load(F32, 4) + 1.0, 4)
                state = state[expert * (k.args.items * n_bytes)]
            with k.loop(first * n_bytes, last * n_bytes, n_bytes) as column:
                value = x[column].load(kind, 4)
                state[column].store(isa.fma(k, value, value, state[column].load(kind, 4)), 4)
