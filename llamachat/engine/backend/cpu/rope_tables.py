"""Tables of rope angles: cos and sin of every position, filled as far as positions have come."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.positions import rope_angles

STEP = 256  # positions that are computed at once


class RopeTables:
    """One table for each kind of rope of a model; factors(name): float32 values of a tensor."""

    def __init__(self, n_positions: int, factors: Callable[[str], np.ndarray]) -> None:
        self.n_positions = n_positions
        self._factors = factors
        self._tables: dict[g.RopeSpec, Buffer] = {}
        self._filled = 0

    def address(self, spec: g.RopeSpec) -> int:
        """Where the table is: float32 [n_positions][2][n_rot/2]."""
        if spec not in self._tables:
            table = Buffer(4 * spec.n_rot * self.n_positions)
            self._fill(table, spec, 0, self._filled)
            self._tables[spec] = table
        return self._tables[spec].address

    def fill(self, n_positions: int) -> None:
        """Computes what is missing of the first n_positions."""
        if n_positions <= self._filled:
            return
        filled = min(self.n_positions, -(-n_positions // STEP) * STEP)
        for spec, table in self._tables.items():
            self._fill(table, spec, self._filled, filled)
        self._filled = filled

    def _fill(self, table: Buffer, spec: g.RopeSpec, first: int, last: int) -> None:
        if last > first:
            rows = table.view(np.float32, (self.n_positions, 2, spec.n_rot // 2))
            write_angles(rows[first:last], spec, self._factors, np.arange(first, last))


def write_angles(
    table: np.ndarray, spec: g.RopeSpec, factors: Callable[[str], np.ndarray], positions: np.ndarray
) -> None:
    """cos and sin of the positions into float32 [n_positions, 2, n_rot/2]."""
    given = factors(spec.factors.name) if spec.factors is not None else None
    table[:, 0], table[:, 1] = rope_angles(spec, given, positions)
