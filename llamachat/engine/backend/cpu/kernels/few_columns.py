"""Products with few columns (decoding): rows are unpacked in registers for every panel."""

from __future__ import annotations

from llamachat.engine.backend.cpu.jit.isa.dots import Codes
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I32, Ptr, Var, Vec, lanes
from llamachat.engine.backend.cpu.kernels.groups import accumulate
from llamachat.engine.backend.cpu.kernels.panel import GROUP, Record
from llamachat.engine.backend.cpu.kernels.rows import AHEAD, UNIT, finish
from llamachat.engine.backend.cpu.kernels.tile import Tile


def few_columns(columns: int, k: Kernel, isa: Generic, tile: Tile, unit: Vec) -> None:
    """For every panel: the rows, unpacked in registers. Many columns take one tile row after the other."""
    groups, record = tile.format.block // GROUP, Record(columns)
    n_panels = (k.count() + (columns - 1)) // columns
    passes = [range(UNIT)] if 4 * UNIT * columns < isa.registers else [range(r, r + 1) for r in range(UNIT)]
    with k.loop(0, n_panels) as panel:
        totals = [[k.var(k.zeros(lanes(F32, isa.rows))) for _ in range(columns)] for _ in range(UNIT)]
        x = k.pointer("x")[panel * k.args.blocks * (groups * record.bytes)]
        for rows in passes:
            with k.loop(0, k.args.blocks) as block:
                base = k.pointer("tiles")[(unit * k.args.blocks + block) * (UNIT * tile.bytes)]
                if len(passes) == 1:
                    k.prefetch(base[AHEAD], UNIT * tile.bytes)
                else:  # every pass asks for its share of the next unit
                    part = (unit + 1) * UNIT + rows[0]
                    k.prefetch(k.pointer("tiles")[(part * k.args.blocks + block) * tile.bytes], tile.bytes)
                for r in rows:
                    for g in range(groups):
                        at = x[(block * groups + g) * record.bytes]
                        _group_of_columns(k, isa, tile, base[r * tile.bytes], g, at, totals[r])
        finish(k, isa, unit, panel * columns, totals)


def _group_of_columns(k: Kernel, isa: Generic, tile: Tile, at: Ptr, g: int, record: Ptr, totals: list[Var]) -> None:
    """Adds the products of 32 columns of one tile row with a panel's activations."""
    layout = Record(len(totals))
    for first in range(0, GROUP, tile.group):
        dots = [isa.dot(k, Codes(tile.code_bits), tile.group // 4) for _ in totals]
        for quad in range(first // 4, (first + tile.group) // 4):
            codes = tile.read_codes(k, at, g * GROUP + 4 * quad)
            for c in range(layout.columns):
                four = record[layout.code(quad, c)].load(I32, 4).splat(isa.rows)
                dots[c].add(codes, four)
        group = (g * GROUP + first) // tile.format.group
        scale = tile.read_scale(k, isa, at, group)
        offset = tile.read_offset(k, isa, at, group, scale)
        for c, total in enumerate(totals):
            x_sum = record[layout.sum(c, tile.group, first)]
            accumulate(k, isa, total, dots[c].value(), scale, offset, record[layout.scale(c)], x_sum)
