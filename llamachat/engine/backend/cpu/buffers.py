"""Memory for native code: page-aligned, zeroed, taken from the system when first touched, with an address."""

from __future__ import annotations

import mmap
import sys
from contextlib import suppress

import numpy as np

HUGE = 1 << 21


class Buffer:
    """`n_bytes` of anonymous memory; `address` is valid as long as this object lives.

    huge: all of it will be used, so that it may come in huge pages. Without, only touched pages take memory.
    """

    def __init__(self, n_bytes: int, huge: bool = False, memory: mmap.mmap | None = None) -> None:
        self.n_bytes = n_bytes
        self._memory = _map(max(n_bytes, 1), huge) if memory is None else memory
        self.bytes: np.ndarray = np.frombuffer(self._memory, np.uint8)[:n_bytes]
        self.address = int(self.bytes.ctypes.data) if n_bytes else 0

    @classmethod
    def of_file(cls, descriptor: int, n_bytes: int) -> Buffer:
        """The first n_bytes bytes of an open file, which stay there and may only be read. Raises OSError.

        Touching them ends the process where the file is cut meanwhile: for files that nobody cuts.
        """
        memory = mmap.mmap(descriptor, n_bytes, access=mmap.ACCESS_READ)
        if sys.platform == "linux":
            with suppress(OSError):
                memory.madvise(mmap.MADV_HUGEPAGE)
        return cls(n_bytes, memory=memory)

    def release(self) -> None:
        """Gives its pages back to the system; what was in them is zero, or as it was where the system cannot do it."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._memory.madvise(mmap.MADV_DONTNEED)

    def view(self, dtype: type, shape: tuple[int, ...], at: int = 0) -> np.ndarray:
        """An array [*shape] over its bytes from `at` on; a view."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        return self.bytes[at : at + size].view(dtype).reshape(shape)


def _map(n_bytes: int, huge: bool) -> mmap.mmap:
    if sys.platform == "win32":
        return mmap.mmap(-1, n_bytes)
    # Private, because shared anonymous memory gets no huge pages.
    memory = mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if huge and n_bytes >= HUGE and sys.platform == "linux":
        with suppress(OSError):  # kernels without transparent huge pages
            memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
