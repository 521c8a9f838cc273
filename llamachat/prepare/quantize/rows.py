"""The tensors of a result, in pieces of rows: read, decoded, encoded, and compared with what they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.gguf import GgufFile, TensorInfo
from llamachat.engine.gguf.metadata import shown
from llamachat.engine.quants import FORMATS, Format
from llamachat.errors import ModelFileError
from llamachat.prepare.quantize.plan import Step, n_matrices

PIECE_WEIGHTS: Final = 1 << 21
"""Weights of a piece: as float32 a few megabytes, so that memory does not grow with the tensor."""

SAMPLED: Final = 1 << 15
"""Weights of a tensor, about, whose error is measured."""

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


class Encoder(Protocol):
    """What writes rows into blocks: `engine.backend.choose.quantiser`."""

    def encode(self, fmt: Format, rows: Floats, importance: Floats | None = None) -> Bytes:
        """uint8 [n, row bytes] of float32 [n, columns], weighted by importance [columns]."""
        ...


class Loss:
    """How far the weights of a tensor are from what they were, measured on some of its rows."""

    def __init__(self, tensor: TensorInfo, fmt: Format) -> None:
        self._step = max(1, int(np.prod(tensor.shape)) // SAMPLED)
        self._fmt, self._row, self._squares, self._sum = fmt, 0, 0.0, 0.0

    def add(self, rows: Floats, blocks: Bytes) -> None:
        """The next rows, [n, columns], and what became of them, [n, row bytes]."""
        chosen = np.arange(-self._row % self._step, len(rows), self._step)
        self._row += len(rows)
        if not chosen.size:
            return
        before = rows[chosen].astype(np.float64)
        after = self._fmt.decode(np.ascontiguousarray(blocks[chosen]).ravel()).reshape(before.shape)
        self._squares += float(((after - before) ** 2).sum())
        self._sum += float((before**2).sum())

    @property
    def rms(self) -> float:
        """sqrt(sum (q - x)^2 / sum x^2)."""
        return float(np.sqrt(self._squares / self._sum)) if self._sum else 0.0


class Rows:
    """Makes the bytes of tensors. threads: for decoding; the encoder has its own."""

    def __init__(self, file: GgufFile, encoder: Encoder, n_threads: int, report: Callable[[int], None]) -> None:
        self._file, self._encoder, self._report = file, encoder, report
        self._n_threads = n_threads
        self._pool = ThreadPoolExecutor(n_threads)

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown()

    def copied(self, tensor: TensorInfo) -> Iterator[Bytes]:
        """The bytes of a tensor as it is, in pieces, uint8 [n] each. Raises ModelFileError where the file changes."""
        size = 4 * PIECE_WEIGHTS
        for first in range(0, tensor.n_bytes, size):
            out = np.empty(min(size, tensor.n_bytes - first), np.uint8)
            self._file.read(tensor, first, out)
            yield out
            self._report(len(out))

    def quantised(self, step: Step, importance: Floats | None, loss: Loss) -> Iterator[Bytes]:
        """A tensor in its new type, in pieces of rows. importance: [n_matrices, n_columns].

        Raises ModelFileError for weights that are not finite.
        """
        tensor = step.tensor
        n_columns = tensor.shape[-1]
        n_rows = int(np.prod(tensor.shape[:-1]))
        n_stack = n_matrices(tensor.shape) if importance is not None else 1
        per_matrix, fmt = n_rows // n_stack, FORMATS[step.type]
        n_piece = max(1, PIECE_WEIGHTS // n_columns)
        for matrix in range(n_stack):
            weights = None if importance is None else importance[matrix]
            for first in range(0, per_matrix, n_piece):
                count = min(n_piece, per_matrix - first)
                rows = self._decoded(tensor, matrix * per_matrix + first, count)
                blocks = self._encoder.encode(fmt, rows, weights).reshape(count, -1)
                loss.add(rows, blocks)
                yield blocks
                self._report(count * tensor.row_bytes)

    def _decoded(self, tensor: TensorInfo, first: int, count: int) -> Floats:
        """Rows first .. first + count - 1 as float32 [count, columns]."""
        n_columns = tensor.shape[-1]
        raw = np.empty(count * tensor.row_bytes, np.uint8)
        self._file.read(tensor, first * tensor.row_bytes, raw)
        fmt = FORMATS[tensor.type.name]
        if fmt.name == "F32":
            rows = raw.view(np.float32).reshape(count, n_columns)
        else:
            rows = np.empty((count, n_columns), np.float32)
            parts = np.array_split(np.arange(count), min(count, 2 * self._n_threads))
            packed = raw.reshape(count, -1)

            def decode(part: NDArray[np.int64]) -> None:
                place = slice(part[0], part[-1] + 1)
                rows[place] = fmt.decode(packed[place].ravel()).reshape(-1, n_columns)

            list(self._pool.map(decode, parts))
        if not np.isfinite(rows.sum()) and not np.isfinite(rows).all():
            raise ModelFileError("holds values that are not finite", self._file.path, shown(tensor.name))
        return rows
