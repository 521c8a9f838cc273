"""How codebook formats are searched for: what follows from their descriptions, and the scales that are tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from llamachat.engine.backend.cpu.kernels.codebook_search import LANES
from llamachat.engine.quants import BLOCK_FORMATS
from llamachat.engine.quants.encoding import Codes, codes_of, limits
from llamachat.engine.quants.format import BlockFormat
from llamachat.engine.quants.levels import Book, Listed, Ternary
from llamachat.engine.quants.trees import Expr, Op

CODEBOOK_FORMATS: Final = (*("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS"),)

FIRST_DEPTH, NEAR_DEPTH, LAST_DEPTH = 1, 8, 16
"""Entries of a cell that are compared: for the first scales, for those near the best one, for what is written.

Of a normal matrix 8 entries cost 0.3 % more error than 16, and 4 cost 0.8 %. With one entry for all tries it is 1.1 %.
"""

NEAR_TRIES: Final = (1.0, 0.9, 0.95, 1.05, 1.1)
"""Scales that are tried once more, in parts of the best one."""

BLOCK_TRIES: Final = tuple(float(one) for one in np.linspace(0.8, 1.2, 9))
"""Floats of a block that are tried, in parts of the one with which the largest group gets the largest integer."""


@dataclass(frozen=True)
class Plan:
    """How a format is searched for.

    width: registers of a tile, of eight lanes each. unit: the constant factor of scales. tries: what the largest weight
    of a group is, in units of its scale. integers: the least and the largest of a group's, and their step; None where
    groups have floats of their own.
    """

    fmt: BlockFormat
    codes: Codes
    width: int
    unit: float
    tries: tuple[float, ...]
    integers: tuple[int, int, int] | None

    @property
    def is_tuple(self) -> bool:
        """Whether a lane is a tuple of `width` neighbours; else a register is eight neighbours."""
        return not isinstance(self.codes.levels, Listed)

    @property
    def tiles(self) -> int:
        """Of a block."""
        return self.fmt.block // (LANES * self.width)

    @property
    def lanes(self) -> int:
        """Of a tile that share a scale."""
        return min(LANES, self.fmt.group // self.width)

    @property
    def is_signed(self) -> bool:
        """Whether scales may be negative."""
        return self.integers is None or self.integers[0] < 0

    @property
    def favours_large(self) -> bool:
        """Whether errors of a weight x count sqrt(x^2 + 2 mean x^2) times its importance.

        Importances of a column are means over a text, and errors of large weights are what unusual inputs meet. For
        Qwen2.5-Coder 0.5B as IQ4_NL and IQ3_XXS the KL divergence is 7 % smaller so, for SmolLM2 as IQ2_XXS 6 % larger.
        """
        return self.fmt.name.startswith(("IQ3", "IQ4"))

    @property
    def d(self) -> Expr:
        """The block's float, without the constant."""
        real = self.fmt.parts.d
        return real.a if isinstance(real, Op) and isinstance(real.b, float) else real


def plan_of(name: str) -> Plan:
    """Of a format's description."""
    fmt = BLOCK_FORMATS[name]
    codes, d, scale = codes_of(fmt), fmt.parts.d, fmt.parts.scale
    width = codes.levels.entries.shape[1] if isinstance(codes.levels, Book | Ternary) else 4
    unit = float(d.b) if isinstance(d, Op) and isinstance(d.b, float) else 1.0
    integers = None
    if scale is not None:
        low, high = limits(scale, fmt.layout)
        integers = low, high, 2 if low > 0 else 1
    return Plan(fmt, codes, width, unit, _tries(codes), integers)


def _tries(codes: Codes) -> tuple[float, ...]:
    """Around where the largest weight of a group of normal numbers should be; both signs where levels have no two."""
    levels = codes.levels
    top = max(levels.extremes)
    if isinstance(levels, Listed):
        sizes = -min(levels.extremes) / np.linspace(0.75, 1.2, 10)
        return tuple(float(one) for one in (*sizes, *-sizes))
    parts = 1 / np.geomspace(0.3, 1, 9) if isinstance(levels, Ternary) else np.linspace(0.5, 1.3, 13)
    return tuple(float(one) for one in top * parts)
