"""Matrices from their file into tiles, by all threads at once, each of which reads what it packs.

A file that cannot be read ends in an error with a sentence: native code only notes the place.
"""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.jit.compiler import Compiler, KernelSpec
from llamachat.engine.backend.cpu.jit.kernel import CACHE_LINE
from llamachat.engine.backend.cpu.kernels.loading import HEAD, Load
from llamachat.engine.backend.cpu.program import Launch, build
from llamachat.engine.backend.cpu.waiting import run_patiently
from llamachat.engine.backend.cpu.workers import WorkerPool, system_function
from llamachat.engine.gguf import GgufFile, TensorInfo
from llamachat.errors import ModelFileError

ROOM = 256 << 10
"""Bytes that a thread reads at once, where a unit is not larger: they stay in its cache until they are packed."""

_READ = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64)


@dataclass(frozen=True)
class Packing:
    """What becomes of one tensor: n_experts matrices of n_rows rows, in units of unit_rows, at `tiles`."""

    tensor: TensorInfo
    pack: KernelSpec
    tiles: int
    n_experts: int
    n_rows: int
    blocks: int
    units: int
    unit_rows: int
    unit_bytes: int

    @property
    def row_bytes(self) -> int:
        """Of the file."""
        return self.tensor.n_bytes // (self.n_experts * self.n_rows)


class Loading:
    """Reads and packs tensors, with all threads of the pool."""

    def __init__(self, file: GgufFile, compiler: Compiler, pool: WorkerPool, packings: Sequence[Packing]) -> None:
        self._reader = _Reader(file)
        self._total = sum(packing.tensor.n_bytes for packing in packings)
        largest = max((packing.unit_rows * packing.row_bytes for packing in packings), default=0)
        self._room = -(-(HEAD + max(largest, ROOM)) // CACHE_LINE) * CACHE_LINE
        self._buffer, self._failed = Buffer(pool.n_threads * self._room, huge=True), Buffer(8)
        self._counters = Buffer(CACHE_LINE * pool.n_threads)
        self._program = build([self._launch(packing, compiler) for packing in packings], compiler)
        self._pool = pool

    def run(self, progress: Callable[[int, int], None]) -> None:
        """Loads everything; progress(done, total) counts bytes of the file, from this thread, as soon as it has begun.

        Raises ModelFileError where the file cannot be read, or was cut or changed; what progress raises ends it, too.
        """
        run_patiently(self._pool, self._program, lambda: progress(self._done(), self._total))
        self._reader.check(int(self._failed.view(np.int64, (1,))[0]))
        progress(self._done(), self._total)

    def _done(self) -> int:
        return int(self._counters.view(np.int64, (self._pool.n_threads, CACHE_LINE // 8))[:, 0].sum())

    def _launch(self, packing: Packing, compiler: Compiler) -> Launch:
        read, file, at = self._reader.place(packing.tensor)
        given = {"read": read, "file": file, "at": at, "pack": compiler.address(packing.pack), "tiles": packing.tiles}
        given |= {"experts": packing.n_experts, "rows": packing.n_rows, "row_bytes": packing.row_bytes}
        given |= {"blocks": packing.blocks, "units": packing.units, "unit_rows": packing.unit_rows}
        given |= {"unit_bytes": packing.unit_bytes, "buffer": self._buffer.address, "room": self._room}
        return Launch(Load(), {**given, "failed": self._failed.address, "done": self._counters.address})


class _Reader:
    """Where tensors are for native code: a function with pread's signature, its first argument, and an offset."""

    def __init__(self, file: GgufFile) -> None:
        self._file = file
        self._pread = 0 if sys.platform == "win32" else system_function("pread")
        self._callback: Any = _READ(self._read)
        self._tensors: list[TensorInfo] = []
        self._error: BaseException | None = None

    def place(self, tensor: TensorInfo) -> tuple[int, int, int]:
        """Without pread, and of what is no file, Python reads: its number of the tensor, from its beginning."""
        place = self._file.place(tensor)
        if place is not None and self._pread:
            return self._pread, place[0].descriptor, place[1]
        self._tensors.append(tensor)
        return ctypes.cast(self._callback, ctypes.c_void_p).value or 0, len(self._tensors) - 1, 0

    def check(self, failed: int) -> None:
        """Raises what went wrong. failed: 1 + the place that could not be read, or 0."""
        if self._error is not None:
            raise self._error
        for source in self._file.sources:
            source.check()
        if failed:
            raise self._reason(failed - 1)

    def _read(self, number: int, address: int, n_bytes: int, at: int) -> int:
        out = np.frombuffer(memoryview((ctypes.c_uint8 * n_bytes).from_address(address)), np.uint8)
        try:
            self._file.read(self._tensors[number], at, out)
        except BaseException as error:
            self._error = error
            return -1
        return n_bytes

    def _reason(self, at: int) -> ModelFileError:
        """What the system says of that place now."""
        for source in self._file.sources:
            if at < source.size:
                source.read(at, np.empty(min(mmap.PAGESIZE, source.size - at), np.uint8))
        return ModelFileError("cannot be read", self._file.path)
