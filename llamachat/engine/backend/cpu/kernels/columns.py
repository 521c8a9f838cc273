"""Columns of rows, copied elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, lanes


@dataclass(frozen=True)
class CopyColumns(KernelSpec):
    """In every row, `groups` times: the `n` values from x_first on, x_group after each other, to y_first and so on.

    x, y: float32 rows of x_stride and y_stride bytes; x_first, y_first, x_group, y_group: bytes. lanes divides n.
    """

    lanes: int
    arguments: ClassVar = (
        *("x", "y", "count", "groups", "n", "x_first", "y_first", "x_group", "y_group", "x_stride", "y_stride"),
    )
    reads: ClassVar = ("x",)
    writes: ClassVar = ("y",)
    split: ClassVar = Shares()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Row by row, group by group."""
        first, last = self.split.share(k)
        args, kind = k.args, lanes(F32, self.lanes)
        with k.loop(first, last) as row, k.loop(0, args.groups) as group:
            x = k.pointer("x")[row * args.x_stride + args.x_first + group * args.x_group]
            y = k.pointer("y")[row * args.y_stride + args.y_first + group * args.y_group]
            with k.loop(0, args.n * 4, 4 * self.lanes) as at:
                y[at].store(x[at].load(kind, 4), 4)
