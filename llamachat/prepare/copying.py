"""Tensors of an open file as `write_gguf` takes them: read piece by piece when their turn comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.gguf import GgufFile, TensorInfo
from llamachat.engine.gguf.writer import Entry
from llamachat.prepare.report import Report, silent

PIECE = 1 << 24
"""Bytes that are in memory at once."""


class Progress:
    """Counts bytes for a report."""

    def __init__(self, report: Report, total: int, what: str) -> None:
        self._report, self._total, self._what, self._done = report, total, what, 0

    @classmethod
    def of(cls, file: GgufFile, report: Report, what: str) -> Progress:
        """Of the bytes of all tensors of a file."""
        return cls(report, sum(tensor.n_bytes for tensor in file.tensors.values()), what)

    def add(self, n_bytes: int) -> None:
        """So many more are done."""
        self._done += n_bytes
        self._report(self._done, self._total, self._what)


def pieces(file: GgufFile, tensor: TensorInfo) -> Iterator[NDArray[np.uint8]]:
    """The bytes of a tensor's rows, uint8 [n], in pieces whose memory is not used again.

    Raises ModelFileError where the file was cut or changed since it was opened.
    """
    for first in range(0, tensor.n_bytes, PIECE):
        out = np.empty(min(PIECE, tensor.n_bytes - first), np.uint8)
        file.read(tensor, first, out)
        yield out


def entries(
    file: GgufFile, tensors: Iterable[TensorInfo] | None = None, progress: Progress | None = None
) -> list[Entry]:
    """The tensors of a file, by default all, unchanged."""
    progress = progress or Progress(silent, 0, "")
    chosen = file.tensors.values() if tensors is None else tensors
    return [(one.name, one.type.name, one.shape, partial(_counted, file, one, progress.add)) for one in chosen]


def _counted(file: GgufFile, tensor: TensorInfo, add: Callable[[int], None]) -> Iterator[NDArray[np.uint8]]:
    for piece in pieces(file, tensor):
        yield piece
        add(len(piece))
