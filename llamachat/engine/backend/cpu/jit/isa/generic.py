"""The plain-LLVM instruction set: right on every processor, and the definition of each word for the others.

registers     how many there are
rows          32-bit lanes of a register
columns       activations that the many-column product holds in registers at once
query_rows    rows of queries that attention holds in registers at once
dot4          acc + the sum of four unsigned x signed bytes in each 32-bit lane
dot           a sum of several dot4
fma           a * b + c, rounded once
widen_half    float16 bits as float32
narrow_half   float32 as float16 bits, to nearest even
lookup        entries of a table of 16 numbers
lookup_bytes  entries of a table of 16 bytes
"""

from __future__ import annotations

from collections.abc import Sequence

from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I16, I32, I64, Vec, lanes


class Generic:
    """What any processor can do; no instruction is named."""

    name = "generic"
    cpu = ""
    features = ""
    needs: tuple[str, ...] = ()
    registers = 16
    rows = 4
    columns = 4
    query_rows = 3

    def dot4(self, k: Kernel, acc: Vec, unsigned: Vec, signed: Vec, bits: int) -> Vec:
        """acc + u0 s0 + u1 s1 + u2 s2 + u3 s3 per lane, exact; unsigned bytes hold at most `bits` bits."""
        u, s = (x.as_(lanes(I32, self.rows)) for x in (unsigned, signed))
        for i in range(4):
            acc = acc + ((u >> 8 * i) & 255) * (s << (24 - 8 * i)).shift_signed(24)
        return acc

    def dot(self, k: Kernel, bits: int) -> Dot:
        """A sum of dot4 that begins with zero; unsigned bytes hold at most `bits` bits."""
        return Dot(self, k, bits)

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

    def pause(self, k: Kernel) -> None:
        """A hint that this is a waiting loop."""


class Dot:
    """A sum of unsigned x signed bytes in each 32-bit lane, exact, four of them with each `add`."""

    def __init__(self, isa: Generic, k: Kernel, bits: int) -> None:
        self._isa, self._k, self._bits = isa, k, bits
        self._sum = k.zeros(lanes(I32, isa.rows))

    def add(self, unsigned: Vec, signed: Vec) -> None:
        """Adds four products in each lane."""
        self._sum = self._isa.dot4(self._k, self._sum, unsigned, signed, self._bits)

    def value(self) -> Vec:
        """The sum: i32 [rows]."""
        return self._sum


def _chosen(codes: Vec, values: list[Vec]) -> Vec:
    """values[code] lane by lane."""
    for bit in range(4):
        upper = (codes & (1 << bit)) > 0
        values = [upper.select(high, low) for low, high in zip(values[::2], values[1::2], strict=True)]
    return values[0]
