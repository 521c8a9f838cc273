"""After how many columns a tile repeats: the same places, all as many bytes farther. Such columns may be a loop."""

from __future__ import annotations

from collections.abc import Iterator

from llamachat.engine.backend.cpu.kernels.tile import Tile
from llamachat.engine.quants.trees import Bits, Expr, Float, Lookup, Num

_Where = tuple[object, ...]

FEWEST = 128
"""Columns of a loop's body: with fewer, sums are loaded and stored too often (Q1_0 of 32 columns: a tenth slower)."""


def repetition(tile: Tile, span: int) -> tuple[int, int]:
    """The fewest columns from FEWEST on, a multiple of `span`, after which a block repeats, and how many bytes farther.

    A block that does not is all of its columns, once, and 0.
    """
    block = tile.form.block
    for columns in range(max(span, FEWEST), block // 2 + 1, span):
        if block % columns == 0 and (distance := _distance(tile, columns)) is not None:
            return columns, distance
    return block, 0


def _distance(tile: Tile, columns: int) -> int | None:
    """How many bytes farther everything lies after so many columns; None where it does not."""
    n = columns // 4
    fours = tile.fours
    if any(fours[i] != fours[i % n] + i // n * columns for i in range(len(fours))):
        return None
    periods = [list(_places(tile, first, columns)) for first in range(0, tile.form.block, columns)]
    distance = periods[1][0][0] - periods[0][0][0]
    for number, places in enumerate(periods):
        moved = [(position - number * distance, where) for position, where in places]
        if moved != periods[0]:
            return None
    return distance


def _places(tile: Tile, first: int, columns: int) -> Iterator[tuple[int, _Where]]:
    """(the position of a unit, where in it) of all that is read for some columns but for a block's numbers."""
    parts = tile.form.parts
    reals = (parts.d, parts.dmin) if parts.floats_per_group else ()
    for column in range(first, first + columns, 4):
        yield from _of_number(tile, parts.codes, column)
    for column in range(first, first + columns, tile.group):
        number = column // tile.form.group
        for tree in (parts.scale, parts.minimum, *reals):
            if tree is not None:
                yield from ((position, (number % 4, *where)) for position, where in _of_number(tile, tree, number))


def _of_number(tile: Tile, tree: Expr, i: int) -> list[tuple[int, _Where]]:
    """The same of number i of a tree."""
    found: list[tuple[int, _Where]] = []

    def seen(leaf: Expr, j: int) -> int:
        if isinstance(leaf, Lookup):
            leaf.index.at(j, seen)
            return 1
        assert isinstance(leaf, Bits | Num | Float)
        byte, unit = tile.byte_of(leaf, j), tile.fields[leaf.field].unit
        bit = leaf.place(j)[1] if isinstance(leaf, Bits) else 0
        found.append((tile.positions[leaf.field, byte - byte % unit], (leaf, byte % unit, bit)))
        return 1

    tree.at(i, seen)
    return found
