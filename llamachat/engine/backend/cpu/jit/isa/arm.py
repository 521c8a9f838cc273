"""AArch64: NEON with the byte dot product (ARMv8.2 and later), and with the mixed one of I8MM."""

from __future__ import annotations

from collections.abc import Sequence

from llamachat.engine.backend.cpu.jit.isa.dots import Codes, Dot, SignedDot
from llamachat.engine.backend.cpu.jit.isa.hardware import FloatHardware
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import I8, I32, Vec, lanes

_WHOLE_SYSTEM = 15


class Neon(FloatHardware):
    """128-bit registers, 32 of them, with `sdot`: signed x signed bytes."""

    name = "neon"
    family = "aarch64"
    cpu = "generic"
    features = "+neon,+dotprod"
    needs: tuple[str, ...] = ("neon", "dotprod")
    registers = 32
    rows = 4
    columns = 4
    query_rows = 12

    def dot4(self, k: Kernel, acc: Vec, unsigned: Vec, signed: Vec, bits: int) -> Vec:
        """sdot: codes of up to 7 bits are signed bytes, too; larger ones are reduced by 128, which x adds again."""
        if bits <= 7:
            return self.signed_dot4(k, acc, unsigned, signed)
        kind = lanes(I8, 4 * self.rows)
        for factor in (127, 1):
            acc = self.signed_dot4(k, acc, k.constant(kind, factor), signed)
        return self.signed_dot4(k, acc, unsigned.as_(kind) ^ -128, signed)

    def signed_dot4(self, k: Kernel, acc: Vec, a: Vec, b: Vec) -> Vec:
        """sdot."""
        return self._dot(k, "sdot", acc, a, b)

    def dot(self, k: Kernel, codes: Codes, fours: int, x_sums: Vec | None = None) -> Dot:
        """A bias of -128 is the change of one bit, and then codes are signed."""
        if codes == Codes(8, -128):
            return FlippedBytes(self, k, Codes(8, signed=True), fours, None)
        return super().dot(k, codes, fours, x_sums)

    def table_codes(self, entries: Sequence[int]) -> tuple[Codes, list[int]]:
        """Signed bytes cost nothing."""
        return Codes(8, signed=True), [entry & 255 for entry in entries]

    def lookup_bytes(self, k: Kernel, codes: Vec, table: Sequence[int]) -> Vec:
        """tbl, for whole registers."""
        if codes.count != 4 * self.rows:
            return super().lookup_bytes(k, codes, table)
        return k.call("llvm.aarch64.neon.tbl1.v16i8", codes.type, k.constant(codes.type, list(table)), codes)

    def pause(self, k: Kernel) -> None:
        """The `isb` instruction: it takes as long as x86's `pause`; `yield` takes no time, and spins are counted."""
        k.call("llvm.aarch64.isb", None, Vec(k.b, I32(_WHOLE_SYSTEM)))

    def _dot(self, k: Kernel, name: str, acc: Vec, a: Vec, b: Vec) -> Vec:
        kind = lanes(I8, 4 * self.rows)
        return k.call(f"llvm.aarch64.neon.{name}.v4i32.v16i8", acc.type, acc, a.as_(kind), b.as_(kind))


class NeonI8mm(Neon):
    """With `usdot`: unsigned x signed bytes, so that codes of 8 bits cost no more than others."""

    name = "neon-i8mm"
    features = "+neon,+dotprod,+i8mm"
    needs: tuple[str, ...] = (*Neon.needs, "i8mm")
    codes_may_stay = True

    def dot4(self, k: Kernel, acc: Vec, unsigned: Vec, signed: Vec, bits: int) -> Vec:
        """usdot."""
        return self._dot(k, "usdot", acc, unsigned, signed)


class FlippedBytes(SignedDot):
    """Codes of 8 bits with a bias of -128."""

    def add(self, codes: Vec, x: Vec) -> None:
        """Adds four products in each lane."""
        super().add(codes.as_(lanes(I8, 4 * self._isa.rows)) ^ -128, x)
