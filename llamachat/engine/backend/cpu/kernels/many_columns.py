"""Products with many columns (prefill): rows are unpacked once, into scratch memory, and then multiplied."""

from __future__ import annotations

from llamachat.engine.backend.cpu.jit.isa.dots import Codes
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I8, I32, Ptr, Var, Vec, lanes
from llamachat.engine.backend.cpu.kernels.groups import accumulate
from llamachat.engine.backend.cpu.kernels.panel import GROUP, Record
from llamachat.engine.backend.cpu.kernels.rows import UNIT, finish
from llamachat.engine.backend.cpu.kernels.tile import Tile
from llamachat.engine.quants import BLOCK_FORMATS


class _Unpacked:
    """The scratch layout of 32 columns of one tile row: codes as bytes, then scale and offset of each group."""

    def __init__(self, tile: Tile) -> None:
        self.tile, self.groups = tile, GROUP // tile.group
        self.codes_bytes = GROUP * tile.rows
        self.bytes = self.codes_bytes + self.groups * 2 * 4 * tile.rows

    def code(self, quad: int) -> int:
        return quad * 4 * self.tile.rows

    def scale(self, group: int) -> int:
        return self.codes_bytes + group * 2 * 4 * self.tile.rows

    def offset(self, group: int) -> int:
        return self.scale(group) + 4 * self.tile.rows


def scratch_bytes(format_name: str, rows: int, width: int) -> int:
    """What one thread needs to unpack UNIT tile rows of `width` columns."""
    return _Unpacked(Tile(BLOCK_FORMATS[format_name], rows)).bytes * UNIT * (width // GROUP)


def many_columns(columns: int, k: Kernel, isa: Generic, tile: Tile, unit: Vec) -> None:
    """Unpacks the rows once, then multiplies them with every panel."""
    scratch = k.pointer("scratch")[k.thread * k.args.room]
    groups = k.args.blocks * (tile.format.block // GROUP)
    has_offset = _unpack(k, isa, tile, unit, scratch)
    record = Record(columns)
    panels = (k.count() + (columns - 1)) // columns
    with k.loop(0, panels) as panel:
        x = k.pointer("x")[panel * groups * record.bytes]
        zero = k.zeros(lanes(F32, isa.rows))
        totals = [[k.var(zero) for _ in range(columns)] for _ in range(UNIT)]
        # Few registers hold the sums of one tile row: with two, compilers store what they read for the second.
        for rows in [range(UNIT)] if isa.registers > 16 else [range(r, r + 1) for r in range(UNIT)]:
            with k.loop(0, groups) as g:
                at = scratch[g * (UNIT * _Unpacked(tile).bytes) + rows[0] * _Unpacked(tile).bytes]
                some = totals[rows[0] : rows[-1] + 1]
                _block_of_columns(k, isa, tile, at, x[g * record.bytes], some, has_offset)
        finish(k, isa, unit, panel * columns, totals)


def _unpack(k: Kernel, isa: Generic, tile: Tile, unit: Vec, scratch: Ptr) -> bool:
    """Writes codes, scales and offsets of UNIT tile rows to the scratch; returns whether the format has offsets."""
    layout, groups, has_offset = _Unpacked(tile), tile.format.block // GROUP, False
    with k.loop(0, k.args.blocks) as block:
        base = k.pointer("tiles")[(unit * k.args.blocks + block) * (UNIT * tile.bytes)]
        for g in range(groups):
            for r in range(UNIT):
                at, to = base[r * tile.bytes], scratch[((block * groups + g) * UNIT + r) * layout.bytes]
                for quad in range(GROUP // 4):
                    to[layout.code(quad)].store(tile.read_codes(k, at, g * GROUP + 4 * quad), align=16)
                for part in range(layout.groups):
                    group = (g * GROUP + part * tile.group) // tile.format.group
                    scale = tile.read_scale(k, isa, at, group)
                    offset = tile.read_offset(k, isa, at, group, scale)
                    to[layout.scale(part)].store(scale, align=16)
                    if offset is not None:
                        to[layout.offset(part)].store(offset, align=16)
                        has_offset = True
    return has_offset


def _block_of_columns(
    k: Kernel, isa: Generic, tile: Tile, at: Ptr, record: Ptr, totals: list[list[Var]], has_offset: bool
) -> None:
    """Adds the products of 32 columns of neighbouring tile rows with a panel's activations."""
    layout, x, n_rows = _Unpacked(tile), Record(len(totals[0])), len(totals)
    for part in range(layout.groups):
        first = part * tile.group
        dots = [[isa.dot(k, Codes(tile.code_bits), tile.group // 4) for _ in row] for row in totals]
        for quad in range(first // 4, (first + tile.group) // 4):
            codes = [at[r * layout.bytes + layout.code(quad)].load(lanes(I8, 4 * isa.rows), 16) for r in range(n_rows)]
            for c in range(x.columns):
                four = record[x.code(quad, c)].load(I32, 4).splat(isa.rows)
                for r in range(n_rows):
                    dots[r][c].add(codes[r], four)
        for r in range(n_rows):
            scale, offset = (
                at[r * layout.bytes + where(part)].load(lanes(F32, isa.rows), 16)
                for where in (layout.scale, layout.offset)
            )
            for c in range(x.columns):
                sums = record[x.sum(c, tile.group, first)]
                used = offset if has_offset else None
                accumulate(k, isa, totals[r][c], dots[r][c].value(), scale, used, record[x.scale(c)], sums)
