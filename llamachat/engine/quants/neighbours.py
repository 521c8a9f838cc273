"""Which entries of a codebook are near a point: tables for searches that do not look at every entry.

Points are cells: each coordinate is one of the codebook's few levels. A table holds, for each cell, the entries nearest
to its centre, the nearest first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.quants import BLOCK_FORMATS
from llamachat.engine.quants.encoding import codes_of
from llamachat.engine.quants.levels import Book, Ternary

NEAR = 16
"""Entries of a cell's list."""

_CHUNK_CELLS, _NUMBER_BITS = 1 << 9, 12


@dataclass(frozen=True, eq=False)
class Neighbours:
    """lists: uint16 [levels ** n, NEAR]; entries: uint8 [entries, n], the magnitudes (of ternary ones 0, 1, 2).

    The first coordinate is the highest digit of a cell's number.
    """

    lists: NDArray[np.uint16]
    entries: NDArray[np.uint8]


@cache
def neighbours(name: str) -> Neighbours:
    """Of a codebook format."""
    levels = codes_of(BLOCK_FORMATS[name]).levels
    assert isinstance(levels, Book | Ternary)
    entries = levels.entries.astype(np.float32)
    values, n = np.unique(entries), entries.shape[1]
    digits = np.arange(len(values) ** n)[:, None] // len(values) ** np.arange(n)[::-1] % len(values)
    doubled, numbers = (entries**2).sum(axis=1), np.arange(len(entries), dtype=np.int32)
    lists = []
    for at in range(0, len(digits), _CHUNK_CELLS):
        # Distances are integers; with the number below them no two are equal, on any machine.
        distances = (doubled - 2 * values[digits[at : at + _CHUNK_CELLS]] @ entries.T).astype(np.int32)
        keys = np.partition(distances << _NUMBER_BITS | numbers, NEAR - 1, axis=1)[:, :NEAR]
        lists.append(np.sort(keys, axis=1) & ((1 << _NUMBER_BITS) - 1))
    return Neighbours(np.concatenate(lists).astype(np.uint16), entries.astype(np.uint8))
