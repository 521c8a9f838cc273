"""The plain-LLVM instruction set: right on every processor, and the definition of each word for the others.

family        "x86-64" or "aarch64": the processors that may have it
triple        the system that code is for, as LLVM calls it, if not this one
registers     how many there are
few_rows      registers of rows that products with few columns unpack at once, at most: few make little code
rows          32-bit lanes of a register
columns       activations that the many-column product holds in registers at once
query_rows    rows of queries that attention holds in registers at once
dot4          acc + the sum of four unsigned x signed bytes in each 32-bit lane
signed_dot4   the same of signed x signed bytes
dot           the sum of codes x bytes of x over a group of columns: an object of `dots.py`
dot_words     acc + the sum of two signed words x signed words in each 32-bit lane
sum_pairs     a multiple of both halves of an i32 that holds sums of x
byte          one byte of each dword as a number
byte_pair     two neighbouring bytes of each dword as two words
scales        one byte in the form that `Dot.scaled` multiplies by
fma           a * b + c, rounded once
widen_half    float16 bits as float32
narrow_half   float32 as float16 bits, to nearest even
lookup        entries of a table of 16 numbers
lookup_bytes  entries of a table of 16 bytes
lookup_low    the same by the lower four bits of each byte, whatever the upper ones are

codes_may_stay  whether a product of unsigned bytes of 8 bits costs no more than one of fewer: codes in the upper half
                of a byte need not be shifted down (`Codes.shift`)
has_tiles     whether it is an `Avx512Amx`, with registers of matrices
"""

from __future__ import annotations

from collections.abc import Sequence

from llamachat.engine.backend.cpu.jit.isa.blocks import MOST_COLUMNS, Operands, Plane, Shape, block_of_dots
from llamachat.engine.backend.cpu.jit.isa.dots import Codes, Dot, SignedDot, table_codes
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I16, I32, I64, Vec, lanes


class Generic:
    """What any processor can do; no instruction is named."""

    name = "generic"
    family = ""
    triple = ""
    cpu = ""
    features = ""
    needs: tuple[str, ...] = ()
    registers = 16
    few_rows = 2
    rows = 4
    columns = 4
    query_rows = 3
    codes_may_stay = False
    has_tiles = False

    @classmethod
    def is_permitted(cls) -> bool:
        """Whether the operating system lets this process use it; asked where the processor has what it `needs`."""
        return True

    def dot4(self, k: Kernel, acc: Vec, unsigned: Vec, signed: Vec, bits: int) -> Vec:
        """acc + u0 s0 + u1 s1 + u2 s2 + u3 s3 per lane, exact; unsigned bytes hold at most `bits` bits."""
        u, s = (x.as_(lanes(I32, self.rows)) for x in (unsigned, signed))
        for i in range(4):
            acc = acc + ((u >> 8 * i) & 255) * (s << (24 - 8 * i)).shift_signed(24)
        return acc

    def signed_dot4(self, k: Kernel, acc: Vec, a: Vec, b: Vec) -> Vec:
        """acc + a0 b0 + a1 b1 + a2 b2 + a3 b3 per lane, exact, of signed bytes."""
        a, b = (x.as_(lanes(I32, self.rows)) for x in (a, b))
        for i in range(4):
            acc = acc + self.byte(k, a, i, signed=True) * self.byte(k, b, i, signed=True)
        return acc

    def dot(self, k: Kernel, codes: Codes, fours: int, x_sums: Vec | None = None) -> Dot:
        """The sum of (code + bias) * x over `fours` times four columns; see `Dot` for x_sums."""
        return (SignedDot if codes.signed else Dot)(self, k, codes, fours, x_sums)

    def planes(self, codes: Codes, shape: Shape) -> tuple[Plane, ...]:
        """In which planes codes that are read often are best kept for `block_of_dots`."""
        return (Plane(codes),)

    def best_shift(self, codes: Codes, bit: int, fours: int) -> int:
        """`Codes.shift` for codes that lie at a bit of their bytes, for a `Dot` of `fours`: from 0 to `bit`."""
        return bit if self.codes_may_stay else 0

    def words_pay(self, codes: Codes) -> bool:
        """Whether products with many columns are faster of words than of bytes with codes of this meaning."""
        return False

    def to_planes(self, k: Kernel, codes: Codes, shape: Shape, values: Vec) -> list[Vec]:
        """A register of bytes of codes in those planes."""
        return [values]

    def block_columns(self, shape: Shape) -> int:
        """Columns of x of one `block_of_dots`, where there are `shape.columns` to do."""
        return min(shape.columns, MOST_COLUMNS)

    def begin_blocks(self, k: Kernel, shape: Shape) -> None:
        """Before the first `block_of_dots` of that shape."""

    def end_blocks(self, k: Kernel, shape: Shape) -> None:
        """After the last one."""

    def block_scales(self, k: Kernel, scales: Vec, most: int) -> Vec:
        """What `scales` or `pair_scales` returned as `block_of_dots` multiplies by it; no product exceeds `most`."""
        return scales

    def block_of_dots(self, k: Kernel, planes: Sequence[Plane], operands: Operands) -> list[list[Vec]]:
        """Sums of codes times bytes of x for registers of rows and columns: see `blocks.py`."""
        return block_of_dots(self, k, planes, operands)

    def held(self, k: Kernel, value: Vec) -> Vec:
        """The same value, computed here and not later, nor are loads that follow moved ahead; here nothing is done."""
        return value

    def pair_products(self, k: Kernel, a: Vec, b: Vec) -> Vec:
        """The product of the lower halves plus that of the upper ones, of i32 that hold two i16 each: i32 [rows]."""
        return (a << 16).shift_signed(16) * (b << 16).shift_signed(16) + a.shift_signed(16) * b.shift_signed(16)

    def sum_pairs(self, k: Kernel, pairs: Vec, factor: int) -> Vec:
        """factor * (lower half + upper half) of an i32 that holds two i16, in every lane: i32 [rows]."""
        total = (pairs << 16).shift_signed(16) + pairs.shift_signed(16)
        return (total * factor).splat(self.rows)

    def byte(self, k: Kernel, dwords: Vec, i: int, *, signed: bool) -> Vec:
        """Byte i of each dword as a number: i32 [rows]."""
        if signed:
            return (dwords << (24 - 8 * i)).shift_signed(24)
        return (dwords >> 8 * i) & 255 if i < 3 else dwords >> 24

    def byte_pair(self, k: Kernel, dwords: Vec, i: int) -> Vec:
        """Bytes i and i + 1 of each dword, without sign, as two i16 in an i32."""
        return self.byte(k, dwords, i, signed=False) | (self.byte(k, dwords, i + 1, signed=False) << 16)

    def scales(self, k: Kernel, dwords: Vec, i: int, *, signed: bool) -> Vec:
        """Byte i of each dword for `Dot.scaled`."""
        return self.byte(k, dwords, i, signed=signed)

    def pair_scales(self, k: Kernel, numbers: Vec) -> Vec:
        """Numbers of at most 8 bits and a sign (i32 [rows]) for `Dot.scaled`."""
        return numbers

    def dot_words(self, k: Kernel, acc: Vec, a: Vec, b: Vec) -> Vec:
        """acc + a0 b0 + a1 b1 per lane, modulo 2^32, of signed words."""
        kind = lanes(I32, self.rows)
        a, b = a.as_(kind), b.as_(kind)
        lower = (a << 16).shift_signed(16) * (b << 16).shift_signed(16)
        return acc + lower + a.shift_signed(16) * b.shift_signed(16)

    def fma(self, k: Kernel, a: Vec, b: Vec, c: Vec) -> Vec:
        """a * b + c, rounded once, also where the processor has no such instruction.

        The product is exact in float64; the sum is rounded there to odd, so that rounding it to float32 rounds the
        exact sum (Boldo & Melquiond 2008, "Emulation of FMA and correctly rounded sums").
        """
        p, addend = a.to_double() * b.to_double(), c.to_double()
        s = p + addend
        part = s - p
        error = (p - (s - part)) + (addend - part)
        bits = s.as_(lanes(I64, s.count))
        beyond = ((bits ^ error.as_(bits.type)) < 0).unsigned(I64)  # s is farther from zero than the exact sum
        odd = (bits - beyond) | 1
        inexact = (error < 0.0) | (error > 0.0)
        return inexact.select(odd, bits).as_(s.type).to_single()

    def widen_half(self, k: Kernel, h: Vec) -> Vec:
        """float16 bits (i16 lanes) as float32, exactly; also subnormals, infinities and NaN."""
        bits = h.unsigned(I32)
        magnitude = bits & 0x7FFF
        # Float32 with the half's exponent and fraction in place is the value times 2^-112.
        finite = ((magnitude << 13).as_(lanes(F32, h.count)) * 2.0**112).as_(bits.type)
        special = (magnitude << 13) | 0x7F800000
        value = (magnitude >= 0x7C00).select(special, finite)
        return (value | ((bits & 0x8000) << 16)).as_(lanes(F32, h.count))

    def narrow_half(self, k: Kernel, x: Vec) -> Vec:
        """float32 as float16 bits (i16 lanes), rounded to nearest even; what is too large becomes infinity."""
        bits = x.as_(lanes(I32, x.count))
        magnitude = bits & 0x7FFFFFFF
        odd = (magnitude >> 13) & 1
        normal = (magnitude - (112 << 23) + 0xFFF + odd) >> 13
        # Adding one half moves the fraction of a subnormal result to the lowest bits, rounded by the addition.
        small = (magnitude.as_(x.type) + 0.5).as_(bits.type) - (126 << 23)
        half = (magnitude < (113 << 23)).select(small, normal)
        half = (magnitude >= 0x477FF000).select(k.constant(bits.type, 0x7C00), half)
        half = (magnitude > 0x7F800000).select(k.constant(bits.type, 0x7E00), half)
        return (half | ((bits >> 16) & 0x8000)).cut(I16)

    def lookup(self, k: Kernel, codes: Vec, table: Sequence[int]) -> Vec:
        """float32 [n]: entry `code` of 16 numbers for each i32 code from 0 to 15."""
        kind = lanes(F32, codes.count)
        return _chosen(codes, [k.constant(kind, float(entry)) for entry in table])

    def lookup_bytes(self, k: Kernel, codes: Vec, table: Sequence[int]) -> Vec:
        """Bytes [n]: entry `code` of 16 unsigned bytes for each byte from 0 to 15."""
        return _chosen(codes, [k.constant(codes.type, entry) for entry in table])

    def lookup_low(self, k: Kernel, codes: Vec, table: Sequence[int]) -> Vec:
        """Bytes [n]: entry `byte & 15` of 16 unsigned bytes for each byte."""
        return self.lookup_bytes(k, codes & 15, table)

    def table_codes(self, entries: Sequence[int]) -> tuple[Codes, list[int]]:
        """How a table of at most 16 signed entries is best looked up for `dot`: the codes' meaning, and their bytes."""
        return table_codes(entries)

    def pause(self, k: Kernel) -> None:
        """A hint that this is a waiting loop."""


def _chosen(codes: Vec, values: list[Vec]) -> Vec:
    """values[code] lane by lane."""
    for bit in range(4):
        upper = (codes & (1 << bit)) > 0
        values = [upper.select(high, low) for low, high in zip(values[::2], values[1::2], strict=True)]
    return values[0]
