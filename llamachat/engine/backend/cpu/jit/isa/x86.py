"""x86-64 instruction sets, from AVX2 to AVX-512 VNNI. Each names a fixed level: the same code anywhere."""

from __future__ import annotations

from collections.abc import Sequence

from llamachat.engine.backend.cpu.jit.isa.generic import Dot, Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, HALF, I8, I16, I32, Vec, lanes


class Avx2(Generic):
    """256-bit registers with FMA and F16C."""

    name = "avx2"
    cpu = "x86-64-v3"
    needs: tuple[str, ...] = ("avx2", "fma", "f16c", "bmi", "bmi2", "lzcnt", "movbe")  # of x86-64-v3
    rows = 8
    columns = 4
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

    def dot(self, k: Kernel, bits: int) -> Dot:
        """Where codes have few bits, several sums of pairs fit 16 bits, and are widened together."""
        return PairDot(self, k, bits) if self._adds_pairs and bits <= 6 else Dot(self, k, bits)

    def add_pairs(self, k: Kernel, unsigned: Vec, signed: Vec) -> Vec:
        """Sums of two neighbouring products, i16 [2 * rows]; right where they fit 16 bits."""
        words, quads = lanes(I16, 2 * self.rows), lanes(I8, 4 * self.rows)
        return k.call(self._maddubs, words, unsigned.as_(quads), signed.as_(quads))

    def widen_pairs(self, k: Kernel, pairs: Vec) -> Vec:
        """Sums of two neighbouring i16: i32 [rows]."""
        return k.call(self._madd, lanes(I32, self.rows), pairs, k.constant(pairs.type, 1))

    _maddubs, _madd = "llvm.x86.avx2.pmadd.ub.sw", "llvm.x86.avx2.pmadd.wd"
    _shuffle = "llvm.x86.avx2.pshuf.b"

    def lookup_bytes(self, k: Kernel, codes: Vec, table: Sequence[int]) -> Vec:
        """vpshufb, for whole registers."""
        if codes.count != 4 * self.rows:
            return super().lookup_bytes(k, codes, table)
        return k.call(self._shuffle, codes.type, k.constant(codes.type, [*table] * (self.rows // 4)), codes)

    def fma(self, k: Kernel, a: Vec, b: Vec, c: Vec) -> Vec:
        """a * b + c, rounded once."""
        return k.call("llvm.fma.f32" if a.count == 1 else f"llvm.fma.v{a.count}f32", a.type, a, b, c)

    def widen_half(self, k: Kernel, h: Vec) -> Vec:
        """float16 bits as float32."""
        return Vec(k.b, k.b.fpext(h.as_(lanes(HALF, h.count)).v, lanes(F32, h.count)))

    def narrow_half(self, k: Kernel, x: Vec) -> Vec:
        """float32 as float16 bits."""
        return Vec(k.b, k.b.fptrunc(x.v, lanes(HALF, x.count))).as_(lanes(I16, x.count))

    def pause(self, k: Kernel) -> None:
        """The `pause` instruction."""
        k.b.call(k.declare("llvm.x86.sse2.pause"), [])


class PairDot(Dot):
    """Adds sums of pairs in 16 bits as long as they fit: |2 * (2^bits - 1) * 128| each.

    Two instructions for each four products instead of three, and one of them needs no multiplier.
    """

    _isa: Avx2

    def __init__(self, isa: Avx2, k: Kernel, bits: int) -> None:
        super().__init__(isa, k, bits)
        self._most, self._n_pairs = 32767 // (2 * ((1 << bits) - 1) * 128), 0
        self._pairs: Vec | None = None

    def add(self, unsigned: Vec, signed: Vec) -> None:
        """Adds four products in each lane."""
        pairs = self._isa.add_pairs(self._k, unsigned, signed)
        self._pairs = pairs if self._pairs is None else self._pairs + pairs
        self._n_pairs += 1
        if self._n_pairs == self._most:
            self._widen()

    def value(self) -> Vec:
        """The sum: i32 [rows]."""
        self._widen()
        return self._sum

    def _widen(self) -> None:
        if self._pairs is not None:
            self._sum = self._sum + self._isa.widen_pairs(self._k, self._pairs)
        self._pairs, self._n_pairs = None, 0


class AvxVnni(Avx2):
    """AVX2 with the 256-bit form of the byte dot product."""

    name = "avxvnni"
    features = "+avxvnni"
    needs: tuple[str, ...] = (*Avx2.needs, "avxvnni")
    columns = 6
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
    columns = 8
    query_rows = 12

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
    needs = (*Avx512.needs, "avx512vnni")
    _adds_pairs = False

    def dot4(self, k: Kernel, acc: Vec, unsigned: Vec, signed: Vec, bits: int) -> Vec:
        """vpdpbusd."""
        kind = lanes(I32, self.rows)
        return k.call("llvm.x86.avx512.vpdpbusd.512", kind, acc, unsigned.as_(kind), signed.as_(kind))
