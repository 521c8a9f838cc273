"""Rust libraries print a backtrace on standard error when they fail, before anybody can handle their error."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

STDERR = 2
PANIC = b"panicked at"


class _Redirection:
    """Standard error goes into a file in memory while somebody needs that; several threads may."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_users = 0
        self._original = self._file = -1

    def begin(self) -> None:
        with self._lock, suppress(OSError):
            self._n_users += 1
            if self._n_users == 1:
                self._original = os.dup(STDERR)
                self._file = _file_in_memory()
                os.dup2(self._file, STDERR)

    def end(self) -> None:
        """Give standard error back, with what others wrote meanwhile."""
        with self._lock, suppress(OSError):
            self._n_users -= 1
            if self._n_users or self._original < 0:
                return
            os.dup2(self._original, STDERR)
            written = _content(self._file)
            os.close(self._file)
            os.close(self._original)
            self._original = -1
            if written and PANIC not in written:
                os.write(STDERR, written)


def _file_in_memory() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("llamachat-stderr")
    return os.open(os.devnull, os.O_RDWR)


def _content(file: int) -> bytes:
    os.lseek(file, 0, os.SEEK_SET)
    return os.read(file, 1_000_000)


_REDIRECTION = _Redirection()


@contextmanager
def without_backtraces() -> Iterator[None]:
    """Within, a panic's report does not reach standard error; what else is written to it does, a little later."""
    _REDIRECTION.begin()
    try:
        yield
    finally:
        _REDIRECTION.end()
