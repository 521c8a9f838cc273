"""What values codes can have, and which are nearest to given ones: an even range, a table, or entries of a codebook."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from llamachat.engine.arrays import NDArray

Reals = NDArray[np.float64]


class Levels(Protocol):
    """Codes of some kind."""

    @property
    def extremes(self) -> tuple[float, float]:
        """The least and the largest value."""

    def nearest(self, x: Reals) -> tuple[dict[str, NDArray[Any]], Reals]:
        """What is written, by name, and the values that it stands for, for values [..., n]."""


@dataclass(frozen=True)
class Even:
    """Integers low .. high."""

    low: int
    high: int

    @property
    def extremes(self) -> tuple[float, float]:
        """As they are."""
        return self.low, self.high

    def nearest(self, x: Reals) -> tuple[dict[str, NDArray[Any]], Reals]:
        """Rounded; values [..., n]."""
        values = np.clip(np.rint(x), self.low, self.high)
        return {"q": values}, values


@dataclass(frozen=True)
class Listed:
    """Values of a table, some of which may occur twice."""

    table: tuple[int, ...]

    @property
    def extremes(self) -> tuple[float, float]:
        """Of the table."""
        return min(self.table), max(self.table)

    def nearest(self, x: Reals) -> tuple[dict[str, NDArray[Any]], Reals]:
        """The number of an entry for each of values [..., n]."""
        values, first = np.unique(self.table, return_index=True)
        place = np.searchsorted((values[1:] + values[:-1]) / 2, x)
        return {"q": first[place]}, values[place].astype(np.float64)


@dataclass(frozen=True)
class Book:
    """Entries of a codebook of magnitudes, float64 [entries, n], and signs.

    even: of eight neighbours the number of minus signs is even, so that seven are written.
    """

    entries: Reals
    even: bool

    @property
    def extremes(self) -> tuple[float, float]:
        """Either sign."""
        return -float(self.entries.max()), float(self.entries.max())

    def nearest(self, x: Reals) -> tuple[dict[str, NDArray[Any]], Reals]:
        """For values [..., n]; where the number of signs is odd, the smallest of the eight gets the other one."""
        eights = x.reshape(-1, 8)
        minus = eights < 0
        if self.even:
            rows = np.flatnonzero(minus.sum(axis=1) & 1)
            smallest = np.abs(eights[rows]).argmin(axis=1)
            minus[rows, smallest] ^= True
        index = closest(np.where(minus, -eights, eights).reshape(-1, self.entries.shape[1]), self.entries)
        values = self.entries[index].reshape(eights.shape) * np.where(minus, -1.0, 1.0)
        signs = (minus * (1 << np.arange(8))).sum(axis=1) & 127 if self.even else minus
        return {"index": index, "signs": signs}, values.reshape(x.shape)


@dataclass(frozen=True)
class Ternary:
    """Entries of 0, 1, 2 [entries, 8], t, and a bit p that `sharing` neighbours share: 8 t + 2 p - 9."""

    entries: Reals
    sharing: int

    @property
    def extremes(self) -> tuple[float, float]:
        """8 - 1 and 8 + 1."""
        return -9, 9

    def nearest(self, x: Reals) -> tuple[dict[str, NDArray[Any]], Reals]:
        """Both bits are tried for values [..., n]."""
        eights, found = x.reshape(-1, 8), []
        for bit in (0, 1):
            grid = self.entries * 8 + 2 * bit - 9
            index = closest(eights, grid)
            values = grid[index]
            errors = ((values - eights) ** 2).reshape(-1, self.sharing).sum(axis=1)
            found.append((index, values, errors))
        plus = found[1][2] < found[0][2]
        chosen = np.repeat(plus, self.sharing // 8)
        index = np.where(chosen, found[1][0], found[0][0])
        values = np.where(chosen[:, None], found[1][1], found[0][1])
        return {"index": index, "plus": plus.astype(np.int64)}, values.reshape(x.shape)


_CHUNK = 1 << 11


def closest(x: Reals, entries: Reals) -> NDArray[np.int64]:
    """int64 [m]: the number of the nearest of entries [entries, n] for each row of x [m, n]."""
    half = 0.5 * (entries**2).sum(axis=1)
    parts = [(half - x[i : i + _CHUNK] @ entries.T).argmin(axis=1) for i in range(0, len(x), _CHUNK)]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)
