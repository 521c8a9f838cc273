"""Weights into blocks with all threads: by kernels for codes that are a range, a table or a codebook, else by NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.backend.cpu.codebooks import encode_launch
from llamachat.engine.backend.cpu.jit.compiler import Compiler
from llamachat.engine.backend.cpu.kernels.codebook_plan import CODEBOOK_FORMATS
from llamachat.engine.backend.cpu.kernels.quantise import Quantise, has_kernel
from llamachat.engine.backend.cpu.program import Arguments, Launch, Region, build
from llamachat.engine.backend.cpu.waiting import run_patiently
from llamachat.engine.backend.cpu.workers import WorkerPool
from llamachat.engine.quants import Format
from llamachat.engine.quants.encoding import encode
from llamachat.engine.quants.format import BlockFormat
from llamachat.errors import UsageError

LEAST_IMPORTANCE: Final = 1e-6
"""Of the mean: columns that count nothing at all would leave scales undetermined."""
_PIECE = 1 << 18
"""Weights that NumPy encodes between two looks at whether to go on."""


class Quantiser:
    """Encodes one matrix at a time."""

    def __init__(self, compiler: Compiler, pool: WorkerPool) -> None:
        self._compiler, self._pool = compiler, pool

    def encode(
        self,
        fmt: Format,
        rows: NDArray[np.float32],
        importance: NDArray[np.float32] | None,
        meanwhile: Callable[[], None],
    ) -> NDArray[np.uint8]:
        """As `interface.Device.encode`: rows [n, columns], importance [columns]. Raises UsageError."""
        n, columns = rows.shape
        if columns % fmt.block:
            raise UsageError(f"rows of {columns} weights are not whole blocks of {fmt.name}, which have {fmt.block}")
        rows, counts = np.ascontiguousarray(rows, np.float32), checked(importance, columns)
        out = np.empty((n, columns // fmt.block * fmt.layout.itemsize), np.uint8)
        if not rows.size:
            return out
        if isinstance(fmt, BlockFormat) and fmt.name in CODEBOOK_FORMATS:
            launch, _kept = encode_launch(fmt, rows, counts, out)
        elif isinstance(fmt, BlockFormat) and has_kernel(fmt):
            launch = self._launch(fmt, rows, counts, out)
        else:
            self._by_numpy(fmt, rows, counts, out, meanwhile)
            return out
        run_patiently(self._pool, build([launch], self._compiler), meanwhile)
        return out

    def _launch(
        self, fmt: BlockFormat, rows: NDArray[np.float32], counts: NDArray[np.float32] | None, out: NDArray[np.uint8]
    ) -> Launch:
        blocks, columns = rows.size // fmt.block, rows.shape[1] // fmt.block
        given: Arguments = {"x": _there(rows), "importance": 0 if counts is None else _there(counts), "y": _there(out)}
        given |= {"blocks": blocks, "columns": columns, "units": -(-blocks // self._compiler.isa.rows)}
        return Launch(Quantise(fmt.name, counts is not None), given)

    @staticmethod
    def _by_numpy(
        fmt: Format,
        rows: NDArray[np.float32],
        counts: NDArray[np.float32] | None,
        out: NDArray[np.uint8],
        meanwhile: Callable[[], None],
    ) -> None:
        step = max(1, _PIECE // rows.shape[1])
        for first in range(0, len(rows), step):
            meanwhile()
            some = rows[first : first + step]
            out[first : first + step] = encode(fmt, some, importance=counts).reshape(len(some), -1)


def checked(importance: NDArray[np.float32] | None, columns: int) -> NDArray[np.float32] | None:
    """What columns count [columns], divided by the mean and none quite zero; None where all are zero, as if not given.

    Raises UsageError where they are not one finite number for each column that is not negative.
    """
    if importance is None:
        return None
    if importance.shape != (columns,):
        raise UsageError(f"there are {importance.size} importances for {columns} columns")
    if not np.isfinite(importance).all() or (importance < 0).any():
        raise UsageError("importances must be finite and not negative")
    mean = importance.astype(np.float64).mean()
    if not mean:
        return None
    return np.ascontiguousarray(np.maximum(importance / mean, LEAST_IMPORTANCE), np.float32)


def _there(array: NDArray[np.float32] | NDArray[np.uint8]) -> Region:
    """Memory of NumPy's for a kernel."""
    return Region(array.nbytes, fixed=int(array.ctypes.data))
