"""The rows of embedding tables that a step needs, copied from the file: a table takes no memory of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.weights import Weights
from llamachat.engine.graph import Node, Role, uses


class Lookup:
    """Room for the rows of `batch` tokens of every table; row i is that of the step's token i."""

    def __init__(self, nodes: Sequence[Node], weights: Weights, batch: int) -> None:
        self._weights = weights
        self._rows: dict[str, tuple[Buffer, np.ndarray]] = {}
        for use in uses(nodes, Role.TABLE):
            name, table = use.tensor.name, weights.table(use.tensor.name)
            row_bytes = table.n_bytes // table.shape[0]
            buffer = Buffer(row_bytes * batch)
            self._rows[name] = buffer, buffer.view(np.uint8, (batch, row_bytes))
        numbers = Buffer(4 * batch)
        numbers.view(np.int32, (batch,))[:] = np.arange(batch)
        self.numbers = numbers

    def address(self, name: str) -> int:
        """Where the rows of a table lie."""
        return self._rows[name][0].address

    def fill(self, ids: np.ndarray) -> None:
        """Copies the rows of these token ids, integers [n]. Raises ModelFileError where the file was cut or changed."""
        for name, (_, rows) in self._rows.items():
            self._weights.read_rows(name, ids.tolist(), rows[: len(ids)])
