"""A model's weights as launches read them: matrices in tiles, vectors as float32, tables as they are in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from llamachat.engine.gguf import GgufFile, TensorInfo
from llamachat.engine.jit.compiler import Compiler
from llamachat.engine.kernels.matmul import UNIT, FloatProduct, Product, scratch_bytes
from llamachat.engine.kernels.packing import Pack, PackFloats
from llamachat.engine.kernels.tile import tile_rows
from llamachat.engine.quants import FORMATS, Format
from llamachat.engine.quants.format import BlockFormat
from llamachat.engine.runtime.buffers import Buffer
from llamachat.engine.runtime.program import ALIGN, Launch, build
from llamachat.engine.runtime.workers import Step, WorkerPool
from llamachat.errors import ModelFileError, Unsupported

PACKED_AT_ONCE = 32 << 20  # bytes of the file that are in memory twice while they are packed


@dataclass(frozen=True)
class Matrix:
    """A packed matrix [n_rows, n_columns]: `units` groups of UNIT tile rows with `blocks` blocks each, at `tiles`."""

    format: str
    n_rows: int
    n_columns: int
    units: int
    blocks: int
    n_bytes: int
    tiles: int = 0

    @property
    def quantised(self) -> bool:
        """Whether it is multiplied with quantised activations."""
        return isinstance(FORMATS[self.format], BlockFormat)

    def product(self, columns: int) -> Product | FloatProduct:
        """The kernel that multiplies it with so many columns of activations."""
        return (Product if self.quantised else FloatProduct)(self.format, columns)

    def scratch_bytes(self, rows: int) -> int:
        """What a thread of the many-column product needs."""
        return scratch_bytes(self.format, rows, self.n_columns) if self.quantised else 0


class Weights:
    """Loads tensors of a file by name and role; each once."""

    def __init__(self, file: GgufFile, compiler: Compiler, pool: WorkerPool) -> None:
        self._file, self._compiler, self._pool = file, compiler, pool
        self.rows = compiler.isa.rows
        self._matrices: dict[str, Matrix] = {}
        self._vectors: dict[str, Buffer] = {}
        self._tiles = Buffer(0)

    def load(self, matrices: Iterable[str], vectors: Iterable[str], progress: Callable[[int, int], None]) -> None:
        """Packs matrices and reads vectors; progress(done, total) counts bytes of the file.

        A few tensors at a time, and their pages of the file given back: weights are in memory once, not twice.
        """
        for name in vectors:
            self._vectors[name] = self._read_vector(self._file.tensors[name])
        tensors = [self._file.tensors[name] for name in matrices]
        plans = [self._plan(tensor) for tensor in tensors]
        self._tiles = Buffer(sum(_aligned(plan.n_bytes) for plan in plans))
        total, done, at = sum(t.n_bytes for t in tensors), 0, self._tiles.address
        waiting: list[tuple[TensorInfo, Matrix]] = []
        for tensor, plan in zip(tensors, plans, strict=True):
            waiting.append((tensor, replace(plan, tiles=at)))
            at += _aligned(plan.n_bytes)
            if sum(t.n_bytes for t, _ in waiting) >= PACKED_AT_ONCE or tensor is tensors[-1]:
                self._pack(waiting)
                done += sum(t.n_bytes for t, _ in waiting)
                waiting = []
                progress(done, total)

    def matrix(self, name: str) -> Matrix:
        """A packed matrix."""
        return self._matrices[name]

    def vector(self, name: str) -> int:
        """The address of float32 values, padded with zeros to whole registers."""
        return self._vectors[name].address

    def values(self, name: str) -> np.ndarray:
        """A tensor's values as float32 [shape]."""
        tensor = self._file.tensors[name]
        return decode(tensor).reshape(tensor.shape)

    def table(self, name: str) -> TensorInfo:
        """A tensor that stays mapped and is looked up by row."""
        return self._file.tensors[name]

    @property
    def n_bytes(self) -> int:
        """Memory taken."""
        return self._tiles.n_bytes + sum(buffer.n_bytes for buffer in self._vectors.values())

    def _read_vector(self, tensor: TensorInfo) -> Buffer:
        values = decode(tensor)
        unit = UNIT * self.rows
        buffer = Buffer(4 * -(-values.size // unit) * unit)
        buffer.view(np.float32, (values.size,))[:] = values
        return buffer

    def _plan(self, tensor: TensorInfo) -> Matrix:
        """How the tensor will be packed; not yet where."""
        n_rows, n_columns = tensor.shape
        fmt = format_of(tensor)
        units = tile_rows(n_rows, self.rows, UNIT) // UNIT
        n_bytes = units * UNIT * self.rows * (n_columns // fmt.block) * fmt.layout.itemsize
        return Matrix(fmt.name, n_rows, n_columns, units, n_columns // fmt.block, n_bytes)

    def _pack(self, tensors: Sequence[tuple[TensorInfo, Matrix]]) -> None:
        """Packs some tensors on all threads, and gives their pages of the file back."""
        launches = [
            Launch(
                Pack(matrix.format) if matrix.quantised else PackFloats(tensor.type.bytes),
                {
                    "source": int(tensor.data.ctypes.data),
                    "tiles": matrix.tiles,
                    "rows": matrix.n_rows,
                    "blocks": matrix.blocks,
                    "units": matrix.units,
                },
            )
            for tensor, matrix in tensors
        ]
        program = build(launches, self._compiler)
        self._pool.run(program.address, program.n_launches, Step())
        for tensor, matrix in tensors:
            self._matrices[tensor.name] = matrix
            self._file.release(tensor)


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // ALIGN) * ALIGN


def format_of(tensor: TensorInfo) -> Format:
    """The block format of a tensor; refuses those that the engine cannot compute with."""
    fmt = FORMATS.get(tensor.type.name)
    if fmt is None:
        known = ", ".join(FORMATS)
        raise Unsupported(
            f"block type {tensor.type.name} cannot be computed with yet (known: {known})", where=tensor.name
        )
    return fmt


def decode(tensor: TensorInfo) -> np.ndarray:
    """All values as float32, flat."""
    values = format_of(tensor).decode(tensor.data)
    if not np.isfinite(values).all():
        raise ModelFileError("holds values that are not finite", where=tensor.name)
    return values
