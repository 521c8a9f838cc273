"""A model's weights as launches read them: matrices in tiles, vectors as float32, tables as they are in the file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy as shallow_copy
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from llamachat.engine.backend.cpu.beside import Packed, pack_beside
from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.jit.compiler import Compiler
from llamachat.engine.backend.cpu.jit.isa.blocks import MOST_COLUMNS
from llamachat.engine.backend.cpu.kernels.float_product import FloatProduct
from llamachat.engine.backend.cpu.kernels.many_columns import scratch_bytes
from llamachat.engine.backend.cpu.kernels.packing import Pack, PackFloats
from llamachat.engine.backend.cpu.kernels.product import Product
from llamachat.engine.backend.cpu.kernels.rows import ROWS, whole_rows
from llamachat.engine.backend.cpu.loading import Loading, Packing
from llamachat.engine.backend.cpu.program import ALIGN
from llamachat.engine.backend.cpu.workers import WorkerPool
from llamachat.engine.gguf import GgufFile, TensorInfo
from llamachat.engine.graph import HeadMatrices, Node
from llamachat.engine.kept import CHUNK
from llamachat.engine.quants import FORMATS, STORED, is_foreign
from llamachat.engine.quants.format import BlockFormat
from llamachat.engine.quants.tensors import decode, format_of, read

if TYPE_CHECKING:
    from llamachat.engine.backend.cpu.copies import PackedCopy


@dataclass(frozen=True)
class Matrix:
    """A packed matrix [n_rows, n_columns]: `units` of 32 rows with `blocks` blocks each, at `tiles`.

    n_experts: how many of them lie one after the other, `expert_bytes` each; n_bytes: of all.
    """

    format: str
    n_rows: int
    n_columns: int
    units: int
    blocks: int
    n_bytes: int
    tiles: int = 0
    n_experts: int = 1

    @property
    def expert_bytes(self) -> int:
        """From one expert's tiles to the next one's."""
        return self.n_bytes // self.n_experts

    @property
    def unit_bytes(self) -> int:
        """Of a unit of rows."""
        return self.expert_bytes // self.units

    @property
    def quantised(self) -> bool:
        """Whether it is multiplied with quantised activations."""
        return isinstance(FORMATS[self.format], BlockFormat)

    def is_direct(self, columns: int, n_tokens: int) -> bool:
        """Whether a product unpacks weights in registers, anew for every panel, and does not keep them unpacked.

        Measured with AVX2, 4096 x 2048, 5 to 48 tokens: registers are faster for one or two panels, and where a scale
        serves 16 columns only for one of at most 4. More columns than registers hold are for tiles, from memory.
        """
        panels = -(-n_tokens // columns)
        if panels == 1 and columns <= 4:
            return True
        return self.quantised and columns <= MOST_COLUMNS and panels <= 2 and STORED[self.format].format.group > 16

    def product(self, columns: int, direct: bool) -> Product | FloatProduct:
        """The kernel that multiplies it with `columns` columns of activations."""
        return Product(self.format, columns, direct) if self.quantised else FloatProduct(self.format, columns)

    @property
    def scratch_bytes(self) -> int:
        """What a thread of the many-column product needs."""
        return scratch_bytes(self.format, self.n_columns) if self.quantised else 0


class Weights:
    """Loads tensors of a file by name and role; each once."""

    def __init__(self, file: GgufFile, compiler: Compiler, pool: WorkerPool) -> None:
        self._file, self._compiler, self._pool = file, compiler, pool
        self._matrices: dict[str, Matrix] = {}
        self._vectors: dict[str, Buffer] = {}
        self._beside: dict[str, Packed] = {}
        self._heads: dict[HeadMatrices, Buffer] = {}
        self._tiles = Buffer(0)
        self._zeros: dict[int, Buffer] = {}

    def load(
        self,
        matrices: Iterable[str],
        vectors: Iterable[str],
        progress: Callable[[int, int], None],
        copy: PackedCopy | None = None,
    ) -> None:
        """Packs matrices and reads vectors; progress(done, total) counts bytes of the file.

        Every thread copies a little of the file at a time: weights are in memory once, not twice. copy: where packed
        weights may be found, or are kept later.
        """
        for name in vectors:
            self._vectors[name] = self._read_vector(self._file.tensors[name])
        plans, total = self._places(matrices)
        foreign = any(is_foreign(plan.format) for plan in plans.values())
        if copy is None or foreign or not plans:
            self._tiles = Buffer(total, huge=True)
            self._pack(plans, progress)
            return
        total = -(-total // CHUNK) * CHUNK
        kept = copy.open(self._file, [*plans.items()], total, lambda: progress(0, total))
        if kept is not None:
            self._tiles = kept
            self._matrices = self._placed(plans)
            return
        began = time.perf_counter()
        self._tiles = Buffer(total, huge=True)
        self._pack(plans, progress)
        copy.offer(self._tiles, time.perf_counter() - began)

    def _places(self, names: Iterable[str]) -> tuple[dict[str, Matrix], int]:
        """Matrices with `tiles` counted from the first one's, and the bytes of all."""
        plans, at = {}, 0
        for name in names:
            plans[name] = replace(packed(self._file.tensors[name]), tiles=at)
            at += _aligned(plans[name].n_bytes)
        return plans, at

    def _placed(self, plans: Mapping[str, Matrix]) -> dict[str, Matrix]:
        return {name: replace(plan, tiles=self._tiles.address + plan.tiles) for name, plan in plans.items()}

    def _pack(self, plans: Mapping[str, Matrix], progress: Callable[[int, int], None]) -> None:
        self._matrices = self._placed(plans)
        packings = [
            one for name, matrix in self._matrices.items() for one in self._packings(self._file.tensors[name], matrix)
        ]
        Loading(self._file, self._compiler, self._pool, packings).run(progress)

    def matrix(self, name: str) -> Matrix:
        """A packed matrix."""
        return self._matrices[name]

    def vector(self, name: str) -> int:
        """The address of float32 values, padded with zeros to whole registers."""
        return self._vectors[name].address

    def with_adapters(self, nodes: Iterable[Node], tensors: Mapping[str, TensorInfo]) -> Weights:
        """These weights, which are shared, and what adapters bring: `tensors`, in the roles that operations have."""
        other = shallow_copy(self)
        other._beside = pack_beside(nodes, tensors)
        return other

    def packed_beside(self, name: str) -> Packed:
        """What came with an adapter."""
        return self._beside[name]

    def zeros(self, n: int) -> int:
        """The address of as many zeros, padded to whole registers: a bias where rows are scaled and have none."""
        size = 4 * whole_rows(n)
        return self._zeros.setdefault(size, Buffer(size)).address

    def number(self, name: str) -> float:
        """The value of a vector that has one."""
        return float(self._vectors[name].view(np.float32, (1,))[0])

    def heads(self, one: HeadMatrices) -> int:
        """The address of matrices of heads, float32 [n_head][units of ROWS outputs][n_in][ROWS], made when needed."""
        if one not in self._heads:
            self._heads[one] = self._head_tiles(one)
        return self._heads[one].address

    def values(self, name: str) -> np.ndarray:
        """A tensor's values as float32 [shape]."""
        tensor = self._file.tensors[name]
        return decode(tensor, read(self._file, tensor)).reshape(tensor.shape)

    def table(self, name: str) -> TensorInfo:
        """A tensor that stays in the file and is looked up by row."""
        return self._file.tensors[name]

    def read_rows(self, name: str, numbers: Sequence[int], out: np.ndarray) -> None:
        """Copies rows of such a tensor from the file to uint8 [n, row bytes].

        Raises ModelFileError where the file was cut or changed.
        """
        self._file.read_rows(self._file.tensors[name], numbers, out)

    @property
    def n_bytes(self) -> int:
        """Memory taken."""
        others = [*self._vectors.values(), *self._heads.values(), *(one.memory for one in self._beside.values())]
        return self._tiles.n_bytes + sum(buffer.n_bytes for buffer in others)

    def _head_tiles(self, one: HeadMatrices) -> Buffer:
        values = self.values(one.tensor.name).reshape(one.n_head, one.rows, -1)[:, one.first : one.first + one.n]
        if one.transposed:
            values = values.transpose(0, 2, 1)
        n_out = whole_rows(one.n_out)
        padded = np.zeros((one.n_head, n_out, one.n_in), np.float32)
        padded[:, : one.n_out] = values
        tiles = padded.reshape(one.n_head, n_out // ROWS, ROWS, one.n_in).transpose(0, 1, 3, 2)
        buffer = Buffer(padded.nbytes, huge=True)
        buffer.view(np.float32, tiles.shape)[:] = tiles
        return buffer

    def _read_vector(self, tensor: TensorInfo) -> Buffer:
        values = decode(tensor, read(self._file, tensor))
        buffer = Buffer(_vector_bytes(tensor))
        buffer.view(np.float32, (values.size,))[:] = values
        return buffer

    def _packings(self, tensor: TensorInfo, matrix: Matrix) -> list[Packing]:
        """Of a tensor, or of each piece of a stack."""
        pack = Pack(matrix.format) if matrix.quantised else PackFloats(tensor.type.bytes)
        pieces = tensor.pieces or (tensor,)
        n_experts = matrix.n_experts // len(pieces)
        sizes = (n_experts, matrix.n_rows, matrix.blocks, matrix.units, ROWS, matrix.unit_bytes)
        step = n_experts * matrix.expert_bytes
        return [Packing(piece, pack, matrix.tiles + i * step, *sizes) for i, piece in enumerate(pieces)]


def _vector_bytes(tensor: TensorInfo) -> int:
    """As float32, in whole registers from each of its rows on: biases of experts are rows of a table."""
    return 4 * whole_rows(prod(tensor.shape) + (ROWS if len(tensor.shape) > 1 else 0))


def _aligned(n_bytes: int) -> int:
    return -(-n_bytes // ALIGN) * ALIGN


def packed(tensor: TensorInfo) -> Matrix:
    """How a tensor [n_rows, n_columns], or [n_experts, n_rows, n_columns], will be packed; not yet where.

    One of a single dimension is one row. Raises Unsupported as `format_of`.
    """
    *experts, n_rows, n_columns = tensor.shape if len(tensor.shape) > 1 else (1, *tensor.shape)
    n_experts = prod(experts)
    fmt = format_of(tensor)
    stored = STORED[fmt.name].format if isinstance(fmt, BlockFormat) else fmt
    units = whole_rows(n_rows) // ROWS
    n_bytes = n_experts * units * ROWS * (n_columns // fmt.block) * stored.layout.itemsize
    return Matrix(fmt.name, n_rows, n_columns, units, n_columns // fmt.block, n_bytes, n_experts=n_experts)


def memory_of(matrices: Iterable[TensorInfo], vectors: Iterable[TensorInfo]) -> int:
    """Bytes that the weights take: tiles with their padding, and vectors as float32."""
    tiles = sum(_aligned(packed(tensor).n_bytes) for tensor in matrices)
    return tiles + sum(_vector_bytes(tensor) for tensor in vectors)
