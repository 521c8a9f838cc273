"""AVX-512 with AMX: eight tile registers of 16 rows of 64 bytes, and products of byte matrices between them.

A tile of sums is i32 [m][n]; a, signed bytes, is [m][4 * k]; b, bytes too, is [k][n][4]: four neighbouring columns of a
meet the four bytes of one lane. m, n and k are at most 16. Sums are exact, so the bits are those of every other set.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence

import llvmlite.ir as ir

from llamachat.engine.backend.cpu.jit.isa.x86 import Avx512Vbmi
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import I8, I64, Ptr

TILES, TILE_ROWS, TILE_BYTES = 8, 16, 64
"""Registers, rows of one, bytes of a row."""

_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18  # Linux Documentation/arch/x86/xstate.rst


class Avx512Amx(Avx512Vbmi):
    """Sapphire Rapids and later. Kernels configure tiles before the first use and release them after the last."""

    name = "avx512amx"
    features = "-prefer-256-bit,+avx512vnni,+avx512vbmi,+amx-tile,+amx-int8"
    needs: tuple[str, ...] = (*Avx512Vbmi.needs, "amx-tile", "amx-int8")
    has_tiles = True

    @classmethod
    def is_permitted(cls) -> bool:
        """Asks Linux to keep tiles for this process's threads, which it must before their first use; others do not."""
        if sys.platform != "linux":
            return False
        return ctypes.CDLL(None).syscall(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA) == 0

    def configure_tiles(self, k: Kernel, shapes: Sequence[tuple[int, int]]) -> None:
        """Sizes of tile 0, 1, ...: rows and bytes of a row."""
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
