"""AVX-512 with AMX: eight tile registers of 16 rows of 64 bytes, and products of byte matrices between them.

A tile of sums is i32 [m][n]; a, signed bytes, is [m][4 * k]; b, bytes too, is [k][n][4]: four neighbouring columns of a
meet the four bytes of one lane. m, n and k are at most 16. Sums are exact, so the bits are those of every other set.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence

import llvmlite.ir as ir

from llamachat.engine.backend.cpu.jit.isa.blocks import Operands, Plane, Shape, Sums, scaled
from llamachat.engine.backend.cpu.jit.isa.dots import Codes
from llamachat.engine.backend.cpu.jit.isa.x86 import Avx512Vbmi
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import I8, I32, I64, Ptr, Vec, lanes

TILES, TILE_ROWS, TILE_BYTES = 8, 16, 64
"""Registers, rows of one, bytes of a row."""

_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18  # Linux Documentation/arch/x86/xstate.rst


class Avx512Amx(Avx512Vbmi):
    """Sapphire Rapids and later. Kernels configure tiles before the first use and release them after the last."""

    name = "avx512amx"
    features = "-prefer-256-bit,+avx512vnni,+avx512vbmi,+amx-tile,+amx-int8"
    needs: tuple[str, ...] = (*Avx512Vbmi.needs, "amx-tile", "amx-int8")
    has_tiles = True
    columns = TILE_ROWS

    @classmethod
    def is_permitted(cls) -> bool:
        """Asks Linux to keep tiles for this process's threads, which it must before their first use; others do not."""
        if sys.platform != "linux":
            return False
        return ctypes.CDLL(None).syscall(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA) == 0

    def planes(self, codes: Codes, shape: Shape) -> tuple[Plane, ...]:
        """Signed bytes where weights fit them, so that there is no bias."""
        if not _fits_tiles(shape):
            return super().planes(codes, shape)
        return (Plane(Codes(8, signed=True) if _is_signed(codes) else codes),)

    def to_planes(self, k: Kernel, codes: Codes, shape: Shape, values: Vec) -> list[Vec]:
        """The bias added, where it can be."""
        if not _fits_tiles(shape):
            return super().to_planes(k, codes, shape, values)
        return [values + codes.bias if codes.bias and _is_signed(codes) else values]

    def block_columns(self, shape: Shape) -> int:
        """All of them, where tiles do them."""
        return shape.columns if _fits_tiles(shape) else super().block_columns(shape)

    def begin_blocks(self, k: Kernel, shape: Shape) -> None:
        """Two tiles of sums, one of x, two of codes."""
        if _fits_tiles(shape):
            sums, codes = (TILE_ROWS, TILE_BYTES), (shape.fours, TILE_BYTES)
            self.configure_tiles(k, [sums, sums, (TILE_ROWS, 4 * shape.fours), codes, codes])

    def end_blocks(self, k: Kernel, shape: Shape) -> None:
        """Tiles are released."""
        if _fits_tiles(shape):
            self.release_tiles(k)

    def block_of_dots(self, k: Kernel, planes: Sequence[Plane], operands: Operands) -> Sums:
        """A product of tiles for each register of rows; the sums go through memory."""
        if not _fits_tiles(Shape(operands.fours, len(operands.x_sums))):
            return super().block_of_dots(k, planes, operands)
        assert operands.x_at is not None
        (plane,), kind = planes, lanes(I32, TILE_ROWS)
        memory, x_tile = k.memory(kind, operands.rows * TILE_ROWS), operands.rows
        self.load_tile(k, x_tile, operands.x_at, 4 * operands.fours)
        for r, at in enumerate(operands.codes_at):
            self.zero_tile(k, r)
            self.load_tile(k, x_tile + 1 + r, at, TILE_BYTES)
            self.dot_tiles(k, r, x_tile, x_tile + 1 + r, signed=plane.codes.signed)
            self.store_tile(k, r, memory[r * TILE_ROWS * TILE_BYTES], TILE_BYTES)
        places = [[memory[(r * TILE_ROWS + c) * TILE_BYTES] for c in range(TILE_ROWS)] for r in range(operands.rows)]
        sums = [[place.load(kind, TILE_BYTES) for place in row] for row in places]
        if plane.codes.bias:
            starts = [self.sum_pairs(k, x, plane.codes.bias) for x in operands.x_sums]
            sums = [[one + start for one, start in zip(row, starts, strict=True)] for row in sums]
        return scaled(self, k, operands.before, sums, operands.scales())

    def configure_tiles(self, k: Kernel, shapes: Sequence[tuple[int, int]]) -> None:
        """Sizes of tile 0, 1, ...: rows and bytes of a row. Raises ValueError for sizes that tiles cannot have."""
        if len(shapes) > TILES or any(not (1 <= r <= TILE_ROWS and 4 <= n <= TILE_BYTES) for r, n in shapes):
            raise ValueError(f"tiles cannot have these sizes: {shapes}")
        padding = [(0, 0)] * (16 - len(shapes))
        widths = [part for _, n in [*shapes, *padding] for part in (n, 0)]
        content = [1, 0, *[0] * 14, *widths, *[r for r, _ in [*shapes, *padding]]]  # palette 1, from row 0
        kind = ir.ArrayType(I8, len(content))
        memory = k.room(kind)
        k.b.store(ir.Constant(kind, content), memory)
        self._call(k, "ldtilecfg", k.b.bitcast(memory, I8.as_pointer()))

    def release_tiles(self, k: Kernel) -> None:
        """The tiles' content is no longer saved when threads change."""
        self._call(k, "tilerelease")

    def zero_tile(self, k: Kernel, tile: int) -> None:
        """All zero."""
        self._call(k, "tilezero", I8(tile))

    def load_tile(self, k: Kernel, tile: int, at: Ptr, stride: int) -> None:
        """Rows from memory, `stride` bytes apart."""
        self._call(k, "tileloadd64", I8(tile), k.b.inttoptr(at.address.v, I8.as_pointer()), I64(stride))

    def store_tile(self, k: Kernel, tile: int, at: Ptr, stride: int) -> None:
        """Rows to memory, `stride` bytes apart."""
        self._call(k, "tilestored64", I8(tile), k.b.inttoptr(at.address.v, I8.as_pointer()), I64(stride))

    def dot_tiles(self, k: Kernel, sums: int, a: int, b: int, *, signed: bool = False) -> None:
        """sums += a b; a: signed bytes; b: unsigned bytes, or signed ones."""
        self._call(k, "tdpbssd" if signed else "tdpbsud", I8(sums), I8(a), I8(b))

    def _call(self, k: Kernel, name: str, *operands: ir.Value) -> None:
        k.b.call(k.declare(f"llvm.x86.{name}", None, *(o.type for o in operands)), operands)


def _fits_tiles(shape: Shape) -> bool:
    """Whether a block is done by tiles: 32 columns of weights. Of 16 the sums would move more than they compute."""
    return shape == Shape(8, TILE_ROWS)


def _is_signed(codes: Codes) -> bool:
    """Whether weights are signed bytes, or fit them."""
    return codes.signed or (codes.bias >= -128 and (1 << codes.bits) - 1 + codes.bias <= 127)
