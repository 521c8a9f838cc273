"""How keys and values lie in the cache, and how registers of them are written and read.

A number format of the cache has blocks: of one number for floats, else of 32 as in the file formats of the same name
(scale, offset and fifth bits where there are any, then codes). One head's CHUNK cells of a chunk lie together:

- Keys of LANES positions are a group: floats dimension by dimension, so that a register holds one dimension of LANES
  keys; blocks field by field, their codes four neighbouring dimensions of every key at a time.
- Values that are floats are a row for each cell. Values in blocks lie block by block, and each block field by field:
  scales of all cells, then offsets, fifth bits and codes of four neighbouring cells at a time, dimension by dimension;
  so that a dword holds one dimension of four cells, in the order FOUR.
"""

from __future__ import annotations

from dataclasses import dataclass

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I8, I16, I32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.block_rounding import extremes as extremes_of
from llamachat.engine.backend.cpu.kernels.block_rounding import nearest_entry, signed_largest, total, zero_or_nan
from llamachat.engine.backend.cpu.kernels.functions import nearest, widen_bfloat
from llamachat.engine.backend.cpu.kernels.norm import LANES, lanes_for
from llamachat.engine.quants import BLOCK_FORMATS, FORMATS
from llamachat.engine.quants.trees import Lookup

CHUNK = 256
"""Cells of a chunk."""
FOUR = (0, 2, 1, 3)
"""Which byte of a dword is that of each of four cells: both even bytes and both odd ones are neighbours."""
BLOCK = 32
HALF = BLOCK // 2
LARGEST_HALF = 65504.0
HIGH_UNITS = 4
"""Dwords of four cells' fifth bits of a block."""
SPREAD = 1 << 4 | 1 << 11 | 1 << 18 | 1 << 25
"""Times four bits: each is bit 4 of a byte of its own."""


@dataclass(frozen=True)
class ValueField:
    """Where a part of every cell's values lies in a chunk, from `at` on.

    It is bytes [blocks][CHUNK / 4][units][4 cells][size]. stride: from a block to the next one. order: the place of
    each of four cells.
    """

    at: int
    blocks: int
    units: int
    size: int
    stride: int = 0
    order: tuple[int, ...] = (0, 1, 2, 3)


@dataclass(frozen=True)
class FloatCache:
    """Numbers of `size` bytes: f32, f16, bf16."""

    name: str
    size: int
    block = 1

    def row_bytes(self, dim: int) -> int:
        """Bytes of one head's values, or keys, of a position."""
        return self.size * dim

    def value_fields(self, dim: int) -> tuple[ValueField, ...]:
        """The fields of a head's values in a chunk."""
        return (ValueField(0, 1, 1, self.size * dim),)

    def store_values(self, k: Kernel, isa: Generic, source: Ptr, values: Ptr, cell: Vec, dim: int) -> None:
        """Writes `dim` float32 as the values of a cell."""
        n, row = lanes_for(dim, isa.rows), values[cell * self.row_bytes(dim)]
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

    def read_keys(self, k: Kernel, isa: Generic, group: Ptr, lane: Vec, d: Vec, n: int) -> Vec:
        """Dimension d of n keys from `lane` on as float32."""
        return self._read(k, isa, group[d * (LANES * self.size)][lane * self.size], n)

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
class KeyBlock:
    """A block of a group of keys, of `blocks`: where the group begins, and the block's number."""

    group: Ptr
    blocks: int
    block: Vec

    def field(self, first: int, size: int) -> Ptr:
        """Where a field of `size` bytes lies, which is `first` bytes behind the block's beginning in a file."""
        return self.group[self.blocks * first * LANES][self.block * (size * LANES)]


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
        """Where the dword of fifth bits is, or would be."""
        return self._where("qh") if self.bits == 5 else self.codes

    @property
    def codes(self) -> int:
        """Where the codes begin."""
        return self._where("qs")

    @property
    def bytes(self) -> int:
        """Size of a block."""
        return BLOCK_FORMATS[self.name.upper()].layout.itemsize

    def _where(self, field: str) -> int:
        fields = BLOCK_FORMATS[self.name.upper()].layout.fields
        assert fields is not None
        return fields[field][1]

    def row_bytes(self, dim: int) -> int:
        """Bytes of one head's values, or keys, of a position."""
        return dim // BLOCK * self.bytes

    def value_fields(self, dim: int) -> tuple[ValueField, ...]:
        """The fields of a head's values in a chunk."""
        blocks, stride = dim // BLOCK, self.bytes * CHUNK
        halves = [ValueField(at * CHUNK, blocks, 1, 2, stride) for at in range(0, self.high, 2)]
        fifths = [ValueField(self.high * CHUNK, blocks, HIGH_UNITS, 1, stride, FOUR)] * (self.bits == 5)
        return (*halves, *fifths, ValueField(self.codes * CHUNK, blocks, self.value_units, 1, stride, FOUR))

    @property
    def value_units(self) -> int:
        """Dwords of four cells' codes of a block."""
        return BLOCK if self.bits == 8 else HALF

    def store_values(self, k: Kernel, isa: Generic, source: Ptr, values: Ptr, cell: Vec, dim: int) -> None:
        """Writes `dim` float32 as the values of a cell. Bytes are written one by one: others write their neighbours."""
        four, place = cell // 4, ((cell & 2) >> 1) + ((cell & 1) << 1)
        with k.loop(0, dim // BLOCK) as block:
            scale, offset, codes = self._encode(k, isa, source[block * (4 * BLOCK)])
            at = values[block * (self.bytes * CHUNK)]
            at[cell * 2].store(scale, 2)
            if self.has_offset:
                at[2 * CHUNK][cell * 2].store(offset, 2)
            to = at[self.codes * CHUNK][four * (4 * self.value_units) + place]
            for i, part in enumerate(self._bytes(codes)):
                code = (part + 128 if self.bits == 8 else part).cut(I8)
                for j in range(HALF):
                    to[4 * (HALF * i + j)].store(code.lane(j), 1)
            if self.bits == 5:
                fifths, to = _fifth_bits_by_units(k, codes), at[self.high * CHUNK][four * (4 * HIGH_UNITS) + place]
                for j in range(HIGH_UNITS):
                    to[4 * j].store(fifths.lane(j), 1)

    def store_keys(self, k: Kernel, isa: Generic, source: Ptr, group: Ptr, lane: Vec, dim: int) -> None:
        """Writes `dim` float32 as the key of one lane of its group."""
        with k.loop(0, dim // BLOCK) as block:
            scale, offset, codes = self._encode(k, isa, source[block * (4 * BLOCK)])
            at = KeyBlock(group, dim // BLOCK, block)
            at.field(0, 2)[lane * 2].store(scale, 2)
            if self.has_offset:
                at.field(2, 2)[lane * 2].store(offset, 2)
            for i, part in enumerate(self._bytes(codes)):
                quads = (part + 128 if self.bits == 8 else part).cut(I8).as_(lanes(I32, HALF // 4))
                for j in range(HALF // 4):
                    self._key_unit(at, lane, HALF // 4 * i + j).store(quads.lane(j), 4)
            if self.bits == 5:
                at.field(self.high, 4)[lane * 4].store(_fifth_bits(k, codes), 2)

    def load_key(self, k: Kernel, isa: Generic, group: Ptr, lane: Vec, to: Ptr, dim: int) -> None:
        """Writes the key of one lane of its group as `dim` float32."""
        with k.loop(0, dim // BLOCK) as block:
            at = KeyBlock(group, dim // BLOCK, block)
            scale, offset = self.key_scale(k, isa, at, lane, 1), self.key_offset(k, isa, at, lane, 1)
            with k.loop(0, HALF // 4) as quad:
                for i, four in enumerate(self._key_quads(k, isa, at, lane, quad, 1)):
                    code = four.as_(lanes(I8, 4)).unsigned(I32) + self.code_bias
                    value = code.to_float() * scale.splat(4)
                    value = value if offset is None else isa.fma(k, code.to_float(), scale.splat(4), offset.splat(4))
                    to[block * (4 * BLOCK) + quad * 16 + 4 * HALF * i].store(value, 4)

    @property
    def code_bias(self) -> int:
        """What is to be added to the unsigned codes of `key_codes`."""
        return -128 if self.bits == 8 or self.table else self.bias

    @property
    def value_bias(self) -> int:
        """What is to be added to these codes, so that `value_scales` hold: with an offset their middle becomes 0."""
        return -(1 << self.bits - 1) if self.has_offset else self.code_bias

    @property
    def code_bits(self) -> int:
        """Bits of these codes."""
        return 8 if self.table else self.bits

    def key_codes(self, k: Kernel, isa: Generic, at: KeyBlock, lane: Vec, quad: Vec) -> list[Vec]:
        """Unsigned bytes of isa.rows keys from `lane` on: dimensions 4 quad .. 4 quad + 3 of each half of a block."""
        return self._key_quads(k, isa, at, lane, quad, isa.rows)

    def key_scale(self, k: Kernel, isa: Generic, at: KeyBlock, lane: Vec, n: int) -> Vec:
        """float32 scales of a block of n keys."""
        return isa.widen_half(k, at.field(0, 2)[lane * 2].load(lanes(I16, n), 2))

    def key_offset(self, k: Kernel, isa: Generic, at: KeyBlock, lane: Vec, n: int) -> Vec | None:
        """float32 offsets of a block of n keys; None where there are none."""
        if not self.has_offset:
            return None
        return isa.widen_half(k, at.field(2, 2)[lane * 2].load(lanes(I16, n), 2))

    def _key_quads(self, k: Kernel, isa: Generic, at: KeyBlock, lane: Vec, quad: Vec, n: int) -> list[Vec]:
        """Bytes [4 n] of each half: four neighbouring codes of n keys."""
        kind, halves = lanes(I8, 4 * n), HALF // 4
        if self.bits == 8:
            return [self._key_unit(at, lane, quad + halves * i).load(kind, 4) for i in (0, 1)]
        codes = self._nibbles(self._key_unit(at, lane, quad).load(kind, 4))
        if self.bits == 5:
            high = at.field(self.high, 4)[lane * 4].load(lanes(I32, n), 4) >> (quad * 4).cut(I32).splat(n)
            fours = (((high >> HALF * i) & 15) * SPREAD for i in (0, 1))
            codes = [code | (four & 0x10101010).as_(kind) for code, four in zip(codes, fours, strict=True)]
        return self._entries(k, isa, codes)

    def _nibbles(self, both: Vec) -> list[Vec]:
        """The lower and the upper half of each byte."""
        return [both & 15, (both.as_(lanes(I16, both.count // 2)) >> 4).as_(both.type) & 15]

    def _entries(self, k: Kernel, isa: Generic, codes: list[Vec]) -> list[Vec]:
        """What codes mean: themselves, or entries of the table, as unsigned bytes."""
        return [isa.lookup_bytes(k, code, [e + 128 for e in self.table]) for code in codes] if self.table else codes

    def _key_unit(self, at: KeyBlock, lane: Vec, unit: Vec | int) -> Ptr:
        return at.field(self.codes, self.bytes - self.codes)[unit * (4 * LANES)][lane * 4]

    def value_scales(self, k: Kernel, isa: Generic, at: Ptr, cell: Vec) -> tuple[Vec, Vec | None]:
        """float32 scales of LANES cells' block from `cell` on; with offsets, also what codes in the middle mean."""
        scale, offset = (at[first * CHUNK][cell * 2].load(lanes(I16, LANES), 2) for first in (0, 2))
        scale = isa.widen_half(k, scale)
        if not self.has_offset:
            return scale, None
        return scale, isa.fma(k, scale, scale.like(-float(self.value_bias)), isa.widen_half(k, offset))

    def value_codes(self, k: Kernel, isa: Generic, at: Ptr, four: Vec, part: Vec) -> list[Vec]:
        """Unsigned bytes of four cells: dimensions part * rows .. + rows - 1 of each half of a block."""
        n, units = isa.rows, self.value_units
        kind, place = lanes(I8, 4 * n), at[self.codes * CHUNK][(four * units + part * n) * 4]
        if self.bits == 8:
            return [place[4 * HALF * i].load(kind, 4) for i in (0, 1)]
        codes = self._nibbles(place.load(kind, 4))
        if self.bits == 5:
            fifths = at[self.high * CHUNK][four * (4 * HIGH_UNITS)].load(lanes(I32, HIGH_UNITS), 4)
            shifts = k.constant(lanes(I32, n), [i // HIGH_UNITS for i in range(n)]) + (part * n // 4).cut(I32).splat(n)
            bits = fifths.shuffle([i % HIGH_UNITS for i in range(n)]) >> shifts
            codes = [
                code | ((((bits >> shift) & 0x01010101) << 4).as_(kind))
                for code, shift in zip(codes, (0, HALF // HIGH_UNITS), strict=True)
            ]
        return self._entries(k, isa, codes)

    def _bytes(self, codes: list[Vec]) -> list[Vec]:
        """The bytes that hold the codes of both halves, as i32: 16 for each register."""
        return codes if self.bits == 8 else [(codes[0] & 15) | ((codes[1] & 15) << 4)]

    def _encode(self, k: Kernel, isa: Generic, source: Ptr) -> tuple[Vec, Vec, list[Vec]]:
        """(scale and offset as float16 bits, codes of both halves as i32) of 32 float32.

        The scale is NaN where one of them is.
        """
        x = [source[4 * HALF * i].load(lanes(F32, HALF), 4) for i in (0, 1)]
        low, high = extremes_of(x)
        zero, nan = k.zeros(F32), zero_or_nan(x)
        if self.table:
            scale, offset, codes = self._encode_table(k, isa, x, (low, high))
            return isa.narrow_half(k, scale + nan), offset, codes
        if self.has_offset:
            scale, offset = (high - low) * (1.0 / (2**self.bits - 1)), low
        elif self.bits == 8:
            scale, offset = high.max(zero - low) * (1.0 / 127), zero
        else:
            scale, offset = signed_largest(low, high, zero) * (1.0 / self.bias), zero
        scale, offset = _finite_half(scale), _finite_half(offset)
        inverse = scale.equals(0.0).select(zero, zero.like(1.0) / scale)
        codes = [nearest((v - offset.splat(HALF)) * inverse.splat(HALF)) - self.bias for v in x]
        least, most = (-127, 127) if self.bits == 8 else (0, 2**self.bits - 1)
        codes = [code.max(least).min(most) for code in codes]
        return isa.narrow_half(k, scale + nan), isa.narrow_half(k, offset), codes

    def _encode_table(
        self, k: Kernel, isa: Generic, x: list[Vec], extremes: tuple[Vec, Vec]
    ) -> tuple[Vec, Vec, list[Vec]]:
        """The nearest entries, then the scale (float32) with the least error, weighted by each number's square."""
        zero = k.zeros(F32)
        first = signed_largest(*extremes, zero) * (1.0 / self.table[0])
        inverse = first.equals(0.0).select(zero, zero.like(1.0) / first).splat(HALF)
        codes = [nearest_entry(v * inverse, self.table) for v in x]
        entries = [isa.lookup(k, code, self.table) for code in codes]
        products = [(v * v * v * e, v * v * e * e) for v, e in zip(x, entries, strict=True)]
        upper, lower = (total(list(part)) for part in zip(*products, strict=True))
        scale = _finite_half((lower > 0.0).select(upper / lower, zero))
        return scale, isa.narrow_half(k, zero), codes


def _fifth_bits(k: Kernel, codes: list[Vec]) -> Vec:
    """Bit 4 of every code as bits 0 .. 31 of a dword."""
    parts = [((code >> 4) & 1) << (k.ramp(HALF) + HALF * i) for i, code in enumerate(codes)]
    return (parts[0] | parts[1]).reduce(lambda a, b: a | b)


def _fifth_bits_by_units(k: Kernel, codes: list[Vec]) -> Vec:
    """Bytes [HIGH_UNITS]: bit i of number j is bit 4 of code HIGH_UNITS * i + j."""
    in_half = HALF // HIGH_UNITS
    places = k.constant(lanes(I32, HALF), [i // HIGH_UNITS for i in range(HALF)])
    parts = [((code >> 4) & 1) << (places + in_half * i) for i, code in enumerate(codes)]
    bits = parts[0] | parts[1]
    while bits.count > HIGH_UNITS:
        half = bits.count // 2
        bits = bits.shuffle(range(half)) | bits.shuffle(range(half, 2 * half))
    return bits.cut(I8)


CacheFormat = FloatCache | BlockCache


def _in_file(name: str) -> BlockCache:  # as the file format of that name
    q, parts = BLOCK_FORMATS[name.upper()].q, BLOCK_FORMATS[name.upper()].parts
    if isinstance(q, Lookup):
        return BlockCache(name, 4, table=tuple(map(int, q.table.entries[:, 0])))
    return BlockCache(name, 8 if parts.signed else parts.largest.bit_length(), parts.bias, parts.dmin is not None)


CACHE_FORMATS: dict[str, CacheFormat] = {
    **{name: FloatCache(name, FORMATS[name.upper()].layout.itemsize) for name in ("f32", "f16", "bf16")},
    **{name: _in_file(name) for name in ("q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")},
}
