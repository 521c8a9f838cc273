"""How keys and values lie in the cache, and how registers of them are written and read.

One head's values of a position are a row of blocks: for floats a block is one number, else 32 of them as in the file
formats of the same name (scale, offset and fifth bits where there are any, then codes). Keys of LANES positions lie
together: floats dimension by dimension, so that a register holds one dimension of LANES keys; blocks field by field,
their codes four neighbouring dimensions of every key at a time, as byte products want them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I8, I16, I32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.functions import nearest, widen_bfloat
from llamachat.engine.backend.cpu.kernels.norm import LANES, lanes_for

BLOCK = 32
HALF = BLOCK // 2
LARGEST_HALF = 65504.0
SPREAD = 1 << 4 | 1 << 11 | 1 << 18 | 1 << 25
"""Times four bits: each is bit 4 of a byte of its own."""


@dataclass(frozen=True)
class FloatCache:
    """Numbers of `size` bytes: f32, f16, bf16."""

    name: str
    size: int
    block = 1

    def row_bytes(self, dim: int) -> int:
        """Bytes of one head's values, or keys, of a position."""
        return self.size * dim

    def store_values(self, k: Kernel, isa: Generic, source: Ptr, row: Ptr, dim: int) -> None:
        """Writes `dim` float32 as a row."""
        n = lanes_for(dim, isa.rows)
        for column in range(0, dim, n):
            row[column * self.size].store(self._narrow(k, isa, source[4 * column].load(lanes(F32, n), 4)), self.size)

    def store_keys(self, k: Kernel, isa: Generic, source: Ptr, group: Ptr, lane: Vec, dim: int) -> None:
        """Writes `dim` float32 as the key of one lane of its group."""
        n = lanes_for(dim, isa.rows)
        for column in range(0, dim, n):
            key = self._narrow(k, isa, source[4 * column].load(lanes(F32, n), 4))
            for i in range(n):
                group[(column + i) * LANES * self.size][lane * self.size].store(key.lane(i), self.size)

    def load_key(self, k: Kernel, isa: Generic, group: Ptr, lane: Vec, to: Ptr, dim: int) -> None:
        """Writes the key of one lane of its group as `dim` float32."""
        with k.loop(0, dim) as d:
            to[d * 4].store(self._read(k, isa, group[d * (LANES * self.size)][lane * self.size], 1), 4)

    def read_keys(self, k: Kernel, isa: Generic, group: Ptr, d: Vec) -> Vec:
        """Dimension d of LANES keys as float32."""
        return self._read(k, isa, group[d * (LANES * self.size)], LANES)

    def read_values(self, k: Kernel, isa: Generic, row: Ptr, column: Vec, n: int) -> Vec:
        """n float32 of a row, from `column` on; n divides LANES and column."""
        return self._read(k, isa, row[column * self.size], n)

    def _read(self, k: Kernel, isa: Generic, at: Ptr, n: int) -> Vec:
        if self.name == "f32":
            return at.load(lanes(F32, n), 4)
        bits = at.load(lanes(I16, n), 2)
        return isa.widen_half(k, bits) if self.name == "f16" else widen_bfloat(bits)

    def _narrow(self, k: Kernel, isa: Generic, x: Vec) -> Vec:
        if self.name == "f32":
            return x
        return isa.narrow_half(k, _finite_half(x)) if self.name == "f16" else _narrow_bfloat(x)


def _narrow_bfloat(x: Vec) -> Vec:
    """float32 as bfloat16 bits, to nearest even."""
    bits = x.as_(lanes(I32, x.count))
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return x.equals(x).select(rounded, (bits >> 16) | 0x40).cut(I16)


def _finite_half(x: Vec) -> Vec:
    """What float16 cannot hold becomes its largest number, NaN stays.

    An infinite value would make NaN of the zero weight that a token before it gives it, so that a token's result would
    depend on what is evaluated beside it.
    """
    upper = (x > LARGEST_HALF).select(x.like(LARGEST_HALF), x)
    return (upper < -LARGEST_HALF).select(x.like(-LARGEST_HALF), upper)


@dataclass(frozen=True)
class BlockCache:
    """32 numbers share a float16 scale: value = scale * (code + bias), or scale * code + offset, or a table's entry.

    Codes have 4, 5 or 8 bits. Those of 4 bits: byte j holds code j in its lower and code j + 16 in its upper half; a
    fifth bit is bit j of a dword before them; 8 bits are signed bytes. As ggml's block_q4_0 ... block_iq4_nl.
    """

    name: str
    bits: int
    bias: int = 0
    has_offset: bool = False
    table: tuple[int, ...] = ()
    block = BLOCK

    @property
    def high(self) -> int:
        """Where the dword of fifth bits is."""
        return 4 if self.has_offset else 2

    @property
    def codes(self) -> int:
        """Where the codes begin."""
        return self.high + (4 if self.bits == 5 else 0)

    @property
    def bytes(self) -> int:
        """Size of a block."""
        return self.codes + (BLOCK if self.bits == 8 else HALF)

    def row_bytes(self, dim: int) -> int:
        """Bytes of one head's values, or keys, of a position."""
        return dim // BLOCK * self.bytes

    def store_values(self, k: Kernel, isa: Generic, source: Ptr, row: Ptr, dim: int) -> None:
        """Writes `dim` float32 as a row."""
        with k.loop(0, dim // BLOCK) as block:
            scale, offset, codes = self._encode(k, isa, source[block * (4 * BLOCK)])
            at = row[block * self.bytes]
            at.store(scale, 2)
            if self.has_offset:
                at[2].store(offset, 2)
            for i, part in enumerate(self._bytes(codes)):
                at[self.codes + HALF * i].store(part.cut(I8), 1)
            if self.bits == 5:
                at[self.high].store(_fifth_bits(k, codes), 2)

    def store_keys(self, k: Kernel, isa: Generic, source: Ptr, group: Ptr, lane: Vec, dim: int) -> None:
        """Writes `dim` float32 as the key of one lane of its group."""
        with k.loop(0, dim // BLOCK) as block:
            scale, offset, codes = self._encode(k, isa, source[block * (4 * BLOCK)])
            at = group[block * (self.bytes * LANES)]
            at[lane * 2].store(scale, 2)
            if self.has_offset:
                at[2 * LANES][lane * 2].store(offset, 2)
            for i, part in enumerate(self._bytes(codes)):
                quads = (part + 128 if self.bits == 8 else part).cut(I8).as_(lanes(I32, HALF // 4))
                for j in range(HALF // 4):
                    at[(self.codes + HALF * i + 4 * j) * LANES][lane * 4].store(quads.lane(j), 4)
            if self.bits == 5:
                at[self.high * LANES][lane * 4].store(_fifth_bits(k, codes), 2)

    def load_key(self, k: Kernel, isa: Generic, group: Ptr, lane: Vec, to: Ptr, dim: int) -> None:
        """Writes the key of one lane of its group as `dim` float32."""
        with k.loop(0, dim // BLOCK) as block:
            at = group[block * (self.bytes * LANES)]
            scale, offset = self.key_scale(k, isa, at, lane, 1), self.key_offset(k, isa, at, lane, 1)
            for quad in range(BLOCK // 4):
                code = self._key_quads(k, isa, at, lane, quad, 1).as_(lanes(I8, 4)).unsigned(I32) + self.key_bias
                value = code.to_float() * scale.splat(4)
                value = value if offset is None else isa.fma(k, code.to_float(), scale.splat(4), offset.splat(4))
                to[block * (4 * BLOCK) + 16 * quad].store(value, 4)

    @property
    def key_bias(self) -> int:
        """What is to be added to the unsigned codes of keys."""
        return -128 if self.bits == 8 or self.table else self.bias

    @property
    def key_bits(self) -> int:
        """Bits of the unsigned codes of keys."""
        return 8 if self.table else self.bits

    def key_codes(self, k: Kernel, isa: Generic, at: Ptr, lane: Vec, quad: int) -> Vec:
        """Unsigned bytes: dimensions 4 quad .. 4 quad + 3 of isa.rows keys from `lane` on; `at`: their block."""
        return self._key_quads(k, isa, at, lane, quad, isa.rows)

    def key_scale(self, k: Kernel, isa: Generic, at: Ptr, lane: Vec, n: int) -> Vec:
        """float32 scales of a block of n keys."""
        return isa.widen_half(k, at[lane * 2].load(lanes(I16, n), 2))

    def key_offset(self, k: Kernel, isa: Generic, at: Ptr, lane: Vec, n: int) -> Vec | None:
        """float32 offsets of a block of n keys; None where there are none."""
        return isa.widen_half(k, at[2 * LANES][lane * 2].load(lanes(I16, n), 2)) if self.has_offset else None

    def _key_quads(self, k: Kernel, isa: Generic, at: Ptr, lane: Vec, quad: int, n: int) -> Vec:
        """Bytes [4 n]: four neighbouring codes of n keys."""
        kind, halves = lanes(I8, 4 * n), HALF // 4
        unit = quad if self.bits == 8 else quad % halves
        codes = at[(self.codes + 4 * unit) * LANES][lane * 4].load(kind, 4)
        if self.bits == 8:
            return codes
        if quad >= halves:
            codes = (codes.as_(lanes(I16, 2 * n)) >> 4).as_(kind)
        codes = codes & 15
        if self.bits == 5:
            four = (at[self.high * LANES][lane * 4].load(lanes(I32, n), 4) >> (4 * quad)) & 15
            codes = codes | ((four * SPREAD) & 0x10101010).as_(kind)
        return isa.lookup_bytes(k, codes, [entry + 128 for entry in self.table]) if self.table else codes

    def read_values(self, k: Kernel, isa: Generic, row: Ptr, column: Vec, n: int) -> Vec:
        """n float32 of a row, from `column` on; n divides LANES and column."""
        at, inside = row[column // BLOCK * self.bytes], column % BLOCK
        scale = isa.widen_half(k, at.load(I16, 2)).splat(n)
        offset = isa.widen_half(k, at[2].load(I16, 2)) if self.has_offset else None
        if self.bits == 8:
            code = at[self.codes][inside].load(lanes(I8, n), 1).signed(I32)
        else:
            byte = at[self.codes][inside % HALF].load(lanes(I8, n), 1).unsigned(I32)
            code = (byte >> ((inside // HALF) << 2).cut(I32).splat(n)) & 15
        if self.bits == 5:
            shifts = inside.cut(I32).splat(n) + k.ramp(n) if n > 1 else inside.cut(I32)
            code = code | (((at[self.high].load(I32, 2).splat(n) >> shifts) & 1) << 4)
        return self._value(k, isa, code, scale, offset.splat(n) if offset is not None else None)

    def _value(self, k: Kernel, isa: Generic, code: Vec, scale: Vec, offset: Vec | None) -> Vec:
        if self.table:
            return isa.lookup(k, code, self.table) * scale
        if offset is None:
            return (code + self.bias).to_float() * scale
        return isa.fma(k, code.to_float(), scale, offset)

    def _bytes(self, codes: list[Vec]) -> list[Vec]:
        """The bytes that hold the codes of both halves, as i32: 16 for each register."""
        return codes if self.bits == 8 else [(codes[0] & 15) | ((codes[1] & 15) << 4)]

    def _encode(self, k: Kernel, isa: Generic, source: Ptr) -> tuple[Vec, Vec, list[Vec]]:
        """(scale and offset as float16 bits, codes of both halves as i32) of 32 float32."""
        x = [source[4 * HALF * i].load(lanes(F32, HALF), 4) for i in (0, 1)]
        low, high = _extremes(x)
        zero = k.zeros(F32)
        if self.table:
            return self._encode_table(k, isa, x, (low, high))
        if self.has_offset:
            scale, offset = (high - low) * (1.0 / (2**self.bits - 1)), low
        elif self.bits == 8:
            scale, offset = high.max(zero - low) * (1.0 / 127), zero
        else:
            scale, offset = _signed_largest(low, high, zero) * (1.0 / self.bias), zero
        scale, offset = _finite_half(scale), _finite_half(offset)
        inverse = scale.equals(0.0).select(zero, zero.like(1.0) / scale)
        codes = [nearest((v - offset.splat(HALF)) * inverse.splat(HALF)) - self.bias for v in x]
        least, most = (-127, 127) if self.bits == 8 else (0, 2**self.bits - 1)
        codes = [code.max(least).min(most) for code in codes]
        return isa.narrow_half(k, scale), isa.narrow_half(k, offset), codes

    def _encode_table(
        self, k: Kernel, isa: Generic, x: list[Vec], extremes: tuple[Vec, Vec]
    ) -> tuple[Vec, Vec, list[Vec]]:
        """The nearest entries, then the scale with the least error, weighted by the square of each number."""
        zero = k.zeros(F32)
        first = _signed_largest(*extremes, zero) * (1.0 / self.table[0])
        inverse = first.equals(0.0).select(zero, zero.like(1.0) / first).splat(HALF)
        codes = [_nearest_entry(v * inverse, self.table) for v in x]
        entries = [isa.lookup(k, code, self.table) for code in codes]
        products = [(v * v * v * e, v * v * e * e) for v, e in zip(x, entries, strict=True)]
        upper, lower = (_total(list(part)) for part in zip(*products, strict=True))
        scale = _finite_half((lower > 0.0).select(upper / lower, zero))
        return isa.narrow_half(k, scale), isa.narrow_half(k, zero), codes


def _extremes(x: list[Vec]) -> tuple[Vec, Vec]:
    low, high = (getattr(x[0], name)(x[1]) for name in ("min", "max"))
    return low.reduce(lambda a, b: a.min(b)), high.reduce(lambda a, b: a.max(b))


def _signed_largest(low: Vec, high: Vec, zero: Vec) -> Vec:
    """The number of the largest magnitude, with its sign."""
    return ((zero - low) > high).select(low, high)


def _nearest_entry(x: Vec, table: tuple[int, ...]) -> Vec:
    """The number of the entry that is nearest, of a rising table."""
    beyond = [(x > (low + high) / 2).unsigned(I32) for low, high in pairwise(table)]
    return reduce(lambda a, b: a + b, beyond)


def _total(x: list[Vec]) -> Vec:
    return (x[0] + x[1]).reduce(lambda a, b: a + b)


def _fifth_bits(k: Kernel, codes: list[Vec]) -> Vec:
    """Bit 4 of every code as bits 0 .. 31 of a dword."""
    parts = [((code >> 4) & 1) << (k.ramp(HALF) + HALF * i) for i, code in enumerate(codes)]
    return (parts[0] | parts[1]).reduce(lambda a, b: a | b)


IQ4_NL = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
"""The codebook of ggml's block_iq4_nl."""

CacheFormat = FloatCache | BlockCache

CACHE_FORMATS: dict[str, CacheFormat] = {
    fmt.name: fmt
    for fmt in (
        FloatCache("f32", 4),
        FloatCache("f16", 2),
        FloatCache("bf16", 2),
        BlockCache("q8_0", 8),
        BlockCache("q4_0", 4, -8),
        BlockCache("q4_1", 4, has_offset=True),
        BlockCache("iq4_nl", 4, table=IQ4_NL),
        BlockCache("q5_0", 5, -16),
        BlockCache("q5_1", 5, has_offset=True),
    )
}
