"""Tables of position biases: what is added to scores at each distance of key and query."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.kernels.norm import LANES
from llamachat.engine.positions import bias_by_distance


@dataclass(frozen=True)
class BiasTable:
    """float32 [n_head][row_bytes] at `address`; `zero`: bytes from a row's beginning to the bias of distance 0."""

    address: int
    row_bytes: int
    zero: int


NO_BIAS = BiasTable(0, 0, 0)


class BiasTables:
    """One table for each bias and span of a model; values(name): float32 values of a tensor."""

    def __init__(self, values: Callable[[str], np.ndarray]) -> None:
        self._values = values
        self._tables: dict[tuple[g.PositionBias, int], tuple[Buffer, BiasTable]] = {}

    def table(self, bias: g.PositionBias, span: int) -> BiasTable:
        """For distances up to `span`, times log2(e); behind them zeros that are read and not used."""
        if (bias, span) not in self._tables:
            buckets = self._values(bias.buckets.name) if bias.buckets is not None else None
            found = bias_by_distance(bias, buckets, span) * math.log2(math.e)
            width = found.shape[1] + LANES
            buffer = Buffer(4 * bias.n_head * width)
            buffer.view(np.float32, (bias.n_head, width))[:, : found.shape[1]] = found
            self._tables[bias, span] = buffer, BiasTable(buffer.address, 4 * width, 4 * span)
        return self._tables[bias, span][1]
