"""The codebooks of the IQ formats and the values of 4-bit floats (tables of ggml-common.h).

Entries of a grid are 4 or 8 numbers of magnitudes. They lie in `codebooks.bin`, which `tools/make_codebooks.py` writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from llamachat.engine.quants.trees import Table

FILE: Final = Path(__file__).with_name("codebooks.bin")


@dataclass(frozen=True)
class Grid:
    """`entries` rows of `n` numbers, each in `bits` bits of the file."""

    name: str
    entries: int
    n: int
    bits: int


GRIDS: Final = (
    Grid("IQ2_XXS", 256, 8, 2),
    Grid("IQ2_XS", 512, 8, 2),
    Grid("IQ2_S", 1024, 8, 2),
    Grid("IQ3_XXS", 256, 4, 4),
    Grid("IQ3_S", 512, 4, 4),
    Grid("IQ1_S", 2048, 8, 2),
)


def _tables() -> dict[str, Table]:
    data, at, found = np.frombuffer(FILE.read_bytes(), np.uint8), 0, {}
    for grid in GRIDS:
        per = 8 // grid.bits
        words = data[at : at + grid.entries * grid.n // per, None]
        numbers = (words >> (np.arange(per) * grid.bits).astype(np.uint8)) & np.uint8((1 << grid.bits) - 1)
        found[grid.name] = Table(grid.name, numbers.reshape(grid.entries, grid.n).astype(np.int16))
        at += len(words)
    return found


TABLES: Final = _tables()

IQ2_MAGNITUDES: Final = (8, 25, 43)
IQ3_XXS_MAGNITUDES: Final = (4, 12, 20, 28, 36, 44, 52, 62)

IQ4: Final = Table.of("IQ4", (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113))
"""The levels of IQ4_NL and IQ4_XS."""

E2M1: Final = Table.of("E2M1", (0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12))
"""Twice the values of a 4-bit float: a sign, 2 bits of exponent, 1 of mantissa (Open Compute Project, MX formats)."""


def _signs() -> Table:
    """Of 7 signs as bits, those and an eighth that makes the number of ones even."""
    numbers = np.arange(128)[:, None] >> np.arange(8) & 1
    numbers[:, 7] = numbers.sum(axis=1) & 1
    return Table("SIGNS", numbers.astype(np.int16))


SIGNS: Final = _signs()


def _signed(name: str, magnitudes: tuple[int, ...], bits: int) -> Table:
    """Magnitudes by number, and the same negated where the bit above it is set; numbers without a magnitude are 0."""
    room = [*magnitudes, *[0] * ((1 << bits) - len(magnitudes))]
    return Table.of(name, [*room, *(-one for one in room)])


IQ2_SIGNED: Final = _signed("IQ2_SIGNED", IQ2_MAGNITUDES, 2)
IQ3_XXS_SIGNED: Final = _signed("IQ3_XXS_SIGNED", IQ3_XXS_MAGNITUDES, 3)
