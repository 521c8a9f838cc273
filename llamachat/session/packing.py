"""A cache in a file of another type than in memory: f32, f16, bf16, or q8_0, which is half as large as f16.

A float cache is packed part by part, in the order of memory. Each value is rounded to the file's type, for q8_0 in
blocks of 32 with a scale. Unpacking is exact only if the file's type can represent all values of the cache's type.
Parts that are in blocks already are copied.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llamachat.engine.quants import FORMATS
from llamachat.engine.quants.encoding import encode
from llamachat.engine.quants.floats import FloatFormat

Parts = Sequence[tuple[int, str]]
"""Of a cache's memory, as often as it repeats: bytes, and the type of the numbers in them, "" for nothing."""

PACKINGS = ("f32", "f16", "bf16", "q8_0")
FLOATS = ("f32", "f16", "bf16")
LARGEST_HALF = 65504.0


@dataclass(frozen=True)
class Packing:
    """How a cache whose memory repeats `parts` is written as `type`."""

    type: str
    parts: Parts

    def size(self, n_bytes: int) -> int:
        """Bytes in the file for n_bytes of memory."""
        return n_bytes // self._repeats * sum(self._packed_size(size, name) for size, name in self.parts)

    def packed(self, memory: np.ndarray) -> np.ndarray:
        """The memory, uint8 [n_bytes], as it is written: uint8 [size(n_bytes)]."""
        pieces = [_changed(columns, name, self._type_of(name)) for columns, name in self._columns(memory)]
        return np.concatenate(pieces, axis=1).ravel()

    def unpack(self, packed: np.ndarray, memory: np.ndarray) -> None:
        """The inverse: uint8 [size(n_bytes)] into `memory`, uint8 [n_bytes]."""
        rows, at = packed.reshape(memory.nbytes // self._repeats, -1), 0
        for columns, name in self._columns(memory):
            size = self._packed_size(columns.shape[1], name)
            columns[:] = _changed(rows[:, at : at + size], self._type_of(name), name)
            at += size

    def _columns(self, memory: np.ndarray) -> list[tuple[np.ndarray, str]]:
        """Each part of all repetitions: uint8 [n, bytes], a view, and its type."""
        rows, at, found = memory.reshape(-1, self._repeats), 0, []
        for size, name in self.parts:
            if name:
                found.append((rows[:, at : at + size], name))
            at += size
        return found

    def _type_of(self, name: str) -> str:
        """The type in the file for a type of the cache."""
        return self.type if name in FLOATS else name

    def _packed_size(self, size: int, name: str) -> int:
        return _n_bytes(size, name, self._type_of(name)) if name else 0

    @property
    def _repeats(self) -> int:
        return sum(size for size, _ in self.parts)


def _n_bytes(n_bytes: int, of: str, to: str) -> int:
    """Bytes of as many numbers in another type."""
    old, new = FORMATS[of.upper()], FORMATS[to.upper()]
    return n_bytes // old.layout.itemsize * old.block // new.block * new.layout.itemsize


def _changed(rows: np.ndarray, of: str, to: str) -> np.ndarray:
    """uint8 [n, bytes] in another type."""
    if of == to:
        return rows
    numbers = FORMATS[of.upper()].decode(np.ascontiguousarray(rows))
    return _encoded(numbers, to).reshape(len(rows), -1)


def _encoded(numbers: np.ndarray, name: str) -> np.ndarray:
    """float32 as uint8 of a type; values beyond its range saturate, as in a cache."""
    found = FORMATS[name.upper()]
    if isinstance(found, FloatFormat):
        return found.encode(np.clip(numbers, -LARGEST_HALF, LARGEST_HALF) if name == "f16" else numbers)
    return encode(found, numbers, search=False)
