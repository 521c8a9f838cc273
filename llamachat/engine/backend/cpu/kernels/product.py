"""Matrix products on packed tiles: y[c] = W x[c], one column (decoding) or a register block of columns (prompts).

Order of additions, the same for one column and for many: for every row, blocks and groups from left to right, as
`groups.py` says; then what `rows.complete` says. A row is computed whole by one thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.kernels.few_columns import few_columns
from llamachat.engine.backend.cpu.kernels.many_columns import many_columns
from llamachat.engine.backend.cpu.kernels.of_format import FormatKernel
from llamachat.engine.backend.cpu.kernels.rows import whole_task
from llamachat.engine.backend.cpu.kernels.tile import Tile
from llamachat.engine.quants import STORED


@dataclass(frozen=True)
class Product(FormatKernel):
    """y[c] = W x[c] for a quantised format; with a bias or a mode also what `rows.complete` says.

    tiles: W packed; x: quantised panels; y, other: float32 rows of `stride` bytes; bias: float32 [n_rows padded] or 0;
    scale, factor: float32; mode: one of MODES; count: see `Kernel.count`; units: 32 rows each; blocks: blocks in a row;
    direct: rows are unpacked in registers for every panel of columns, which is best for few panels; else once, into
    scratch: `room` bytes for each thread (see `scratch_bytes`).
    """

    columns: int
    direct: bool
    arguments: ClassVar = (
        *("tiles", "x", "y", "bias", "other", "mode", "scale", "factor"),
        *("count", "units", "blocks", "stride", "scratch", "room"),
    )
    reals: ClassVar = ("scale", "factor")
    reads: ClassVar = ("x", "other")
    writes: ClassVar = ("y", "scratch")
    broadcast: ClassVar = ("x",)
    split: ClassVar = Shares("", ("units",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """The product."""
        tile = Tile(STORED[self.format].format, isa.rows)
        with k.when(k.count() > 0):
            emit_rows = few_columns if self.direct else many_columns
            first, last = self.split.share(k)
            with k.loop(first, last) as unit, k.when(k.not_cancelled()):
                emit_rows(self.columns, k, isa, tile, whole_task(k, self.columns), unit)
