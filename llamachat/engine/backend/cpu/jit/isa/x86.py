"""x86-64 instruction sets, from AVX2 to AVX-512 VNNI. Each names a fixed level: the same code anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import llvmlite.ir as ir

from llamachat.engine.backend.cpu.jit.isa.blocks import Operands, Plane, Shape, block_of_dots, block_of_pairs
from llamachat.engine.backend.cpu.jit.isa.dots import Codes, Dot, FlippedDot, PairDot, WideDot, fits_pairs
from llamachat.engine.backend.cpu.jit.isa.hardware import FloatHardware
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I8, I16, I32, Vec, lanes


class Avx2(FloatHardware):
    """256-bit registers with FMA and F16C."""

    name = "avx2"
    family = "x86-64"
    cpu = "x86-64-v3"
    needs: tuple[str, ...] = ("avx2", "fma", "f16c", "bmi", "bmi2", "lzcnt", "movbe")  # of x86-64-v3
    rows = 8
    columns = 6
    query_rows = 6
    _adds_pairs = True  # no instruction adds four products at once

    def dot4(self, k: Kernel, acc: Vec, unsigned: Vec, signed: Vec, bits: int) -> Vec:
        """Pairs are added in 16 bits where they cannot overflow (7 bits x 8), else bytes are widened first."""
        if bits <= 7:
            return acc + self.widen_pairs(k, self.add_pairs(k, unsigned, signed))
        words, doubles = lanes(I16, 2 * self.rows), lanes(I32, self.rows)
        u, s = unsigned.as_(words), signed.as_(words)
        even = k.call(self._madd, doubles, u & 255, (s << 8).shift_signed(8))
        return acc + even + k.call(self._madd, doubles, u >> 8, s.shift_signed(8))

    def dot(self, k: Kernel, codes: Codes, fours: int, x_sums: Vec | None = None) -> Dot:
        """With `vpdpbusd`; else in sums of pairs, where one of them fits 16 bits."""
        if not self._adds_pairs:
            return FlippedDot(self, k, fours, x_sums) if codes.signed else Dot(self, k, codes, fours, x_sums)
        if codes.signed or codes.bits <= 7:
            return PairDot(self, k, codes, fours, x_sums)
        return WideDot(self, k, codes, fours, x_sums)

    def planes(self, codes: Codes, shape: Shape) -> tuple[Plane, ...]:
        """Unsigned bytes for `vpdpbusd`; else codes of 8 bits in halves, so that many sums of pairs fit 16 bits."""
        if codes.bits < 8:
            return (Plane(codes),)
        bias = -128 if codes.signed else codes.bias
        return (
            (Plane(Codes(8, bias)),)
            if not self._adds_pairs
            else (Plane(Codes(4, bias // 16), 16), Plane(Codes(4, bias % 16)))
        )

    def best_shift(self, codes: Codes, bit: int, fours: int) -> int:
        """Without byte dot product: where the sum still fits; one shift by 4 serves two codes of a byte."""
        if not self._adds_pairs:
            return super().best_shift(codes, bit, fours)
        shift = bit % 4
        return shift if fits_pairs(replace(codes, shift=shift), fours) else 0

    def words_pay(self, codes: Codes) -> bool:
        """Without byte dot product two vpmaddwd are cheaper than products of two halves of codes of 8 bits."""
        return self._adds_pairs and codes.bits >= 8

    def to_planes(self, k: Kernel, codes: Codes, shape: Shape, values: Vec) -> list[Vec]:
        """Signs flipped, which is the same as 128 added, and halves taken apart."""
        if codes.bits < 8:
            return [values]
        flipped = values ^ -128 if codes.signed else values
        if not self._adds_pairs:
            return [flipped]
        words = flipped.as_(lanes(I16, 2 * self.rows))
        return [(words >> 4).as_(values.type) & 15, flipped & 15]

    def block_scales(self, k: Kernel, scales: Vec, most: int) -> Vec:
        """With byte dot product: floats, whose multiplication is cheaper than that of integers, where it is exact."""
        return scales.to_float() if not self._adds_pairs and most <= 1 << 24 else scales

    def block_of_dots(self, k: Kernel, planes: Sequence[Plane], operands: Operands) -> list[list[Vec]]:
        """Without byte dot product: in sums of pairs."""
        return (block_of_pairs if self._adds_pairs else block_of_dots)(self, k, planes, operands)

    def held(self, k: Kernel, value: Vec) -> Vec:
        """With few registers: an empty instruction that seems to change the value, and memory."""
        if self.registers > 16:
            return value
        kind = ir.FunctionType(value.type, [value.type])
        return Vec(k.b, k.b.asm(kind, "", "=x,0,~{memory}", [value.v], side_effect=True))

    def pair_products(self, k: Kernel, a: Vec, b: Vec) -> Vec:
        """vpmaddwd."""
        words = lanes(I16, 2 * self.rows)
        return self.multiply_pairs(k, a.as_(words), b.as_(words))

    def sum_pairs(self, k: Kernel, pairs: Vec, factor: int) -> Vec:
        """vpmaddwd."""
        words = lanes(I16, 2 * self.rows)
        return self.multiply_pairs(k, pairs.splat(self.rows).as_(words), k.constant(words, factor))

    def add_pairs(self, k: Kernel, unsigned: Vec, signed: Vec) -> Vec:
        """Sums of two neighbouring products, i16 [2 * rows]; right where they fit 16 bits."""
        words, quads = lanes(I16, 2 * self.rows), lanes(I8, 4 * self.rows)
        return k.call(self._maddubs, words, unsigned.as_(quads), signed.as_(quads))

    def add_signed_pairs(self, k: Kernel, codes: Vec, x: Vec) -> Vec:
        """The same of signed codes: |code| times x with the code's sign."""
        quads = lanes(I8, 4 * self.rows)
        codes, x = codes.as_(quads), x.as_(quads)
        no_poison = Vec(k.b, ir.IntType(1)(0))
        magnitude = k.call(f"llvm.abs.v{quads.count}i8", quads, codes, no_poison)
        return self.add_pairs(k, magnitude, self.with_sign(k, x, codes))

    def with_sign(self, k: Kernel, x: Vec, codes: Vec) -> Vec:
        """Bytes of x, negated where a code is negative, anything where it is zero."""
        return k.call("llvm.x86.avx2.psign.b", x.type, x, codes)

    def multiply_pairs(self, k: Kernel, pairs: Vec, factors: Vec) -> Vec:
        """Sums of two neighbouring products of i16: i32 [rows]."""
        return k.call(self._madd, lanes(I32, self.rows), pairs, factors)

    def widen_pairs(self, k: Kernel, pairs: Vec) -> Vec:
        """Sums of two neighbouring i16: i32 [rows]."""
        return self.multiply_pairs(k, pairs, k.constant(pairs.type, 1))

    def byte(self, k: Kernel, dwords: Vec, i: int, *, signed: bool) -> Vec:
        """vpshufb, where no sign is asked for."""
        if signed or i == 3:
            return super().byte(k, dwords, i, signed=signed)
        return self._bytes_at(k, dwords, (i, -1, -1, -1))

    def byte_pair(self, k: Kernel, dwords: Vec, i: int) -> Vec:
        """vpshufb."""
        return self._bytes_at(k, dwords, (i, -1, i + 1, -1))

    def scales(self, k: Kernel, dwords: Vec, i: int, *, signed: bool) -> Vec:
        """Without byte dot product: the byte as two equal i16, by which sums of pairs are multiplied."""
        if not self._adds_pairs:
            return self.byte(k, dwords, i, signed=signed)
        if not signed:
            return self._bytes_at(k, dwords, (i, -1, i, -1))
        words = lanes(I16, 2 * self.rows)
        return self._bytes_at(k, dwords, (-1, i, -1, i)).as_(words).shift_signed(8).as_(dwords.type)

    def pair_scales(self, k: Kernel, numbers: Vec) -> Vec:
        """Without byte dot product: as two equal i16."""
        return self._bytes_at(k, numbers, (0, 1, 0, 1)) if self._adds_pairs else numbers

    def _bytes_at(self, k: Kernel, dwords: Vec, order: Sequence[int]) -> Vec:
        """Bytes of each dword in another order; -1: zero."""
        quads = lanes(I8, 4 * self.rows)
        at = [4 * (lane % 4) + i if i >= 0 else -128 for lane in range(self.rows) for i in order]
        return k.call(self._shuffle, quads, dwords.as_(quads), k.constant(quads, at)).as_(dwords.type)

    def dot_words(self, k: Kernel, acc: Vec, a: Vec, b: Vec) -> Vec:
        """vpmaddwd and an addition; LLVM makes vpdpwssd of them where there is one."""
        words = lanes(I16, 2 * self.rows)
        return acc + k.call(self._madd, lanes(I32, self.rows), a.as_(words), b.as_(words))

    _maddubs, _madd = "llvm.x86.avx2.pmadd.ub.sw", "llvm.x86.avx2.pmadd.wd"
    _shuffle = "llvm.x86.avx2.pshuf.b"

    def lookup_bytes(self, k: Kernel, codes: Vec, table: Sequence[int]) -> Vec:
        """vpshufb, for whole registers."""
        if codes.count != 4 * self.rows:
            return super().lookup_bytes(k, codes, table)
        return k.call(self._shuffle, codes.type, k.constant(codes.type, [*table] * (self.rows // 4)), codes)

    def table_codes(self, entries: Sequence[int]) -> tuple[Codes, list[int]]:
        """For `vpdpbusd` unsigned bytes cost nothing: the table holds entry + 128."""
        codes, table = super().table_codes(entries)
        if self._adds_pairs or not codes.signed:
            return codes, table
        return Codes(8, -128), [entry + 128 for entry in entries]

    def pause(self, k: Kernel) -> None:
        """The `pause` instruction."""
        k.b.call(k.declare("llvm.x86.sse2.pause"), [])


class AvxVnni(Avx2):
    """AVX2 with the 256-bit form of the byte dot product."""

    name = "avxvnni"
    features = "+avxvnni"
    needs: tuple[str, ...] = (*Avx2.needs, "avxvnni")
    columns = 6
    codes_may_stay = True
    _adds_pairs = False

    def dot4(self, k: Kernel, acc: Vec, unsigned: Vec, signed: Vec, bits: int) -> Vec:
        """vpdpbusd."""
        kind = lanes(I32, self.rows)
        return k.call("llvm.x86.avx512.vpdpbusd.256", kind, acc, unsigned.as_(kind), signed.as_(kind))


class Avx512(Avx2):
    """512-bit registers with byte and word instructions."""

    name = "avx512"
    cpu = "x86-64-v4"
    features = "-prefer-256-bit"
    needs: tuple[str, ...] = (*Avx2.needs, "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd")
    registers = 32
    rows = 16
    columns = 6
    query_rows = 12

    def with_sign(self, k: Kernel, x: Vec, codes: Vec) -> Vec:
        """Subtracted from zero under a mask."""
        return (codes < 0).select(k.zeros(x.type) - x, x)

    _maddubs, _madd = "llvm.x86.avx512.pmaddubs.w.512", "llvm.x86.avx512.pmaddw.d.512"
    _shuffle = "llvm.x86.avx512.pshuf.b.512"

    def lookup(self, k: Kernel, codes: Vec, table: Sequence[int]) -> Vec:
        """vpermps, for whole registers."""
        if codes.count != self.rows:
            return super().lookup(k, codes, table)
        kind = lanes(F32, self.rows)
        return k.call("llvm.x86.avx512.permvar.sf.512", kind, k.constant(kind, [float(x) for x in table]), codes)


class Avx512Vnni(Avx512):
    """AVX-512 with the byte dot product."""

    name = "avx512vnni"
    features = "-prefer-256-bit,+avx512vnni"
    needs: tuple[str, ...] = (*Avx512.needs, "avx512vnni")
    codes_may_stay = True
    _adds_pairs = False

    def dot4(self, k: Kernel, acc: Vec, unsigned: Vec, signed: Vec, bits: int) -> Vec:
        """vpdpbusd."""
        kind = lanes(I32, self.rows)
        return k.call("llvm.x86.avx512.vpdpbusd.512", kind, acc, unsigned.as_(kind), signed.as_(kind))


class Avx512Vbmi(Avx512Vnni):
    """With permutations of single bytes, from Ice Lake and Zen 4 on."""

    name = "avx512vbmi"
    features = "-prefer-256-bit,+avx512vnni,+avx512vbmi"
    needs: tuple[str, ...] = (*Avx512Vnni.needs, "avx512vbmi")

    def lookup_low(self, k: Kernel, codes: Vec, table: Sequence[int]) -> Vec:
        """vpermb looks at six bits: a table of 64 that repeats needs no mask."""
        if codes.count != 4 * self.rows:
            return super().lookup_low(k, codes, table)
        return k.call("llvm.x86.avx512.permvar.qi.512", codes.type, k.constant(codes.type, [*table] * 4), codes)
