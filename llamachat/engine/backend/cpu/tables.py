"""Numbers that kernels look up by a token's position, filled as far as positions have come, and those of a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from llamachat.engine import graph as g
from llamachat.engine.arrays import NDArray
from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.positions import rope_angles, temperatures

STEP = 256  # positions that are computed at once
Weights = Callable[[str], np.ndarray]
"""The float32 values of a tensor."""
Spec = g.RopeSpec | g.TemperatureSpec
"""What a table is made from."""


class Tables:
    """One table for each kind of rotation or temperature of a model, for contexts of n_positions; and constants."""

    def __init__(self, n_positions: int, weights: Weights) -> None:
        self.n_positions = n_positions
        self._weights = weights
        self._tables: dict[Spec, Buffer] = {}
        self._constants: dict[tuple[float, ...], Buffer] = {}
        self._filled = 0

    def address(self, spec: Spec) -> int:
        """Where the table is: float32 [n_positions][numbers of a position]; of a rotation [2][n_rot/2]."""
        if isinstance(spec, g.RopeSpec):
            spec = spec.in_context(self.n_positions)
        if spec not in self._tables:
            table = Buffer(4 * _width(spec) * self.n_positions)
            self._fill(table, spec, 0, self._filled)
            self._tables[spec] = table
        return self._tables[spec].address

    def constants(self, values: Sequence[float]) -> int:
        """Where these lie as float32."""
        key = tuple(values)
        if key not in self._constants:
            self._constants[key] = Buffer(4 * len(key))
            self._constants[key].view(np.float32, (len(key),))[:] = key
        return self._constants[key].address

    def fill(self, n_positions: int) -> None:
        """Computes what is missing of the first n_positions."""
        if n_positions <= self._filled:
            return
        filled = min(self.n_positions, -(-n_positions // STEP) * STEP)
        for spec, table in self._tables.items():
            self._fill(table, spec, self._filled, filled)
        self._filled = filled

    def _fill(self, table: Buffer, spec: Spec, first: int, last: int) -> None:
        if last > first:
            rows = table.view(np.float32, (self.n_positions, _width(spec)))
            rows[first:last] = _rows(spec, self._weights, np.arange(first, last))


def differences(spec: g.RopeSpec, weights: Weights, positions: NDArray[np.int64]) -> NDArray[np.float32]:
    """The rows of a rotation's table that move a key by `positions` [n]: float32 [n, n_rot]; magnitudes are in it."""
    return _rows(replace(spec, magnitude=1.0), weights, positions)


def _width(spec: Spec) -> int:
    """Numbers of a position."""
    return spec.n_rot if isinstance(spec, g.RopeSpec) else 1


def _rows(spec: Spec, weights: Weights, positions: NDArray[np.int64]) -> NDArray[np.float32]:
    """float32 [n, numbers of a position]."""
    if isinstance(spec, g.TemperatureSpec):
        return temperatures(spec, positions)[:, None].astype(np.float32)
    factors = weights(spec.factors.name) if spec.factors is not None else None
    return np.concatenate(rope_angles(spec, factors, positions), 1).astype(np.float32)
