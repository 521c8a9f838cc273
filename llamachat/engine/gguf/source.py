"""The bytes of a file, read by copying: a file that is cut or changed while in use is an error with a sentence.

Through a mapping it would be a signal that ends the process, or weights of two files.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.errors import ModelFileError


class Source:
    """An open file of `size` bytes. Reading is safe in several threads."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self.stamp = self._now()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes of the file as it was opened."""
        return self.stamp[0]

    @property
    def descriptor(self) -> int:
        """The open file's number, valid as long as this object lives; `check` after reading from it."""
        return self._descriptor

    def head(self, n_bytes: int) -> bytes:
        """The first n_bytes bytes, or all. Raises as `read`."""
        out = np.empty(min(n_bytes, self.size), np.uint8)
        self.read(0, out)
        return out.tobytes()

    def read(self, at: int, out: NDArray[np.uint8]) -> None:
        """Fills `out`, uint8 [n], with the bytes from `at` on.

        Raises ModelFileError where they are no more there, or where the file is another one than was opened.
        """
        self._fill(at, out)
        self.check()

    def read_rows(self, at: int, numbers: Sequence[int], out: NDArray[np.uint8]) -> None:
        """Fills out[i], of uint8 [n, row_bytes], with row numbers[i] of those that begin at `at`. Raises as `read`."""
        for row, number in zip(out, numbers, strict=True):
            self._fill(at + number * len(row), row)
        self.check()

    def _fill(self, at: int, out: NDArray[np.uint8]) -> None:
        view = out.data
        while view:
            n_bytes = self._read_some(at, view)
            if n_bytes <= 0:
                raise self._changed()
            view, at = view[n_bytes:], at + n_bytes

    def _read_some(self, at: int, view: memoryview) -> int:
        try:
            return self._read_at(at, view)
        except OSError as error:
            raise ModelFileError(f"cannot be read: {error.strerror}", self.path) from error

    if sys.platform == "win32":

        def _read_at(self, at: int, view: memoryview) -> int:
            with self._lock:
                os.lseek(self._descriptor, at, os.SEEK_SET)
                some = os.read(self._descriptor, len(view))
            view[: len(some)] = some
            return len(some)
    else:

        def _read_at(self, at: int, view: memoryview) -> int:
            return os.preadv(self._descriptor, (view,), at)

    def check(self) -> None:
        """Raises ModelFileError where the file is another one than was opened."""
        if self._now() != self.stamp:
            raise self._changed()

    def _now(self) -> tuple[int, int]:
        status = os.fstat(self._descriptor)
        return status.st_size, status.st_mtime_ns

    def _changed(self) -> ModelFileError:
        return ModelFileError("the file was cut or changed while it was in use: load the model again", self.path)
