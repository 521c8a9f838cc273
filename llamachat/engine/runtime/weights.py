"""A model's weights as launches read them: matrices in tiles, vectors as float32, tables as they are in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from llamachat.engine.gguf import GgufFile, TensorInfo
from llamachat.engine.jit.compiler import Compiler
from llamachat.engine.kernels.matmul import UNIT, FloatProduct, Product, scratch_bytes
from llamachat.engine.kernels.packing import Pack, PackFloats
from llamachat.engine.kernels.tile import tile_rows
from llamachat.engine.quants import FORMATS, Format
from llamachat.engine.quants.format import BlockFormat
from llamachat.engine.runtime.buffers import Buffer
from llamachat.engine.runtime.program import Launch, build
from llamachat.engine.runtime.workers import Step, WorkerPool
from llamachat.errors import ModelFileError, Unsupported


@dataclass(frozen=True)
class Matrix:
    """A packed matrix [n_rows, n_columns]: `units` groups of UNIT tile rows with `blocks` blocks each."""

    format: str
    n_rows: int
    n_columns: int
    units: int
    blocks: int
    tiles: Buffer

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

    def load(self, matrices: Iterable[str], vectors: Iterable[str], progress: Callable[[int, int], None]) -> None:
        """Packs matrices and reads vectors; progress(done, total) counts bytes of the file."""
        for name in vectors:
            self._vectors[name] = self._read_vector(self._file.tensors[name])
        tensors = [self._file.tensors[name] for name in matrices]
        total, done = sum(t.n_bytes for t in tensors), 0
        for tensor in tensors:
            self._matrices[tensor.name] = self._pack(tensor)
            self._file.release(tensor)
            done += tensor.n_bytes
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
        buffers = [m.tiles for m in self._matrices.values()] + list(self._vectors.values())
        return sum(buffer.n_bytes for buffer in buffers)

    def _read_vector(self, tensor: TensorInfo) -> Buffer:
        values = decode(tensor)
        unit = UNIT * self.rows
        buffer = Buffer(4 * -(-values.size // unit) * unit)
        buffer.view(np.float32, (values.size,))[:] = values
        return buffer

    def _pack(self, tensor: TensorInfo) -> Matrix:
        n_rows, n_columns = tensor.shape
        fmt = format_of(tensor)
        units = tile_rows(n_rows, self.rows, UNIT) // UNIT
        blocks = n_columns // fmt.block
        tiles = Buffer(units * UNIT * self.rows * blocks * fmt.layout.itemsize)
        spec = Pack(fmt.name) if isinstance(fmt, BlockFormat) else PackFloats(fmt.layout.itemsize)
        arguments = {"source": int(tensor.data.ctypes.data), "tiles": tiles.address}
        program = build([Launch(spec, {**arguments, "rows": n_rows, "blocks": blocks, "units": units})], self._compiler)
        self._pool.run(program.address, program.n_launches, Step())
        return Matrix(fmt.name, n_rows, n_columns, units, blocks, tiles)


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
