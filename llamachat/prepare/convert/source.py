"""A tensor of a checkpoint: its type and shape, and its numbers when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.errors import ModelFileError

Floats = NDArray[np.float32]

BYTES: Final = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "F8_E8M0": 1,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
"""Bytes of a number, by the names of safetensors."""

_NUMPY: Final = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "F8_E4M3": "u1",
    "F8_E5M2": "u1",
    "F8_E8M0": "u1",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "u1",
}
PIECE_NUMBERS: Final = 1 << 22
"""Numbers that are read and converted at once where a tensor needs no other treatment."""

Raw = Callable[[int, int], NDArray[Any]]
"""Numbers from the first to before the second, as they are stored."""


@dataclass(frozen=True)
class Source:
    """A tensor of a checkpoint. kind: a key of `BYTES`; shape as there, rows first; raw: reads its numbers."""

    name: str
    kind: str
    shape: tuple[int, ...]
    raw: Raw

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    def stored(self) -> NDArray[Any]:
        """The numbers as they are stored [shape]; of types that NumPy lacks their bits."""
        return self.raw(0, self.size).reshape(self.shape)

    def values(self) -> Floats:
        """The numbers, float32 [shape]."""
        return as_floats(self.raw(0, self.size), self.kind).reshape(self.shape)

    def pieces(self) -> Iterator[Floats]:
        """The same row by row, some rows at a time: float32 [n_rows, shape[-1]]."""
        columns = self.shape[-1] if self.shape else 1
        step = max(1, PIECE_NUMBERS // max(1, columns)) * columns
        for at in range(0, self.size, step):
            raw = self.raw(at, min(at + step, self.size))
            yield as_floats(raw, self.kind).reshape(-1, columns)


def file_source(path: Path, name: str, kind: str, shape: tuple[int, ...], at: int) -> Source:
    """A tensor whose numbers stand in a file from byte `at` on; reading raises ModelFileError where it has shrunk."""

    def raw(first: int, last: int) -> NDArray[Any]:
        with open(path, "rb") as file:
            file.seek(at + first * BYTES[kind])
            found = np.fromfile(file, _NUMPY[kind], last - first)
        if found.size != last - first:
            raise ModelFileError("the file has become shorter while it was read", path, name)
        return found

    return Source(name, kind, shape, raw)


def as_floats(raw: NDArray[Any], kind: str) -> Floats:
    """Stored numbers [n] as float32 [n]."""
    if kind == "BF16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    if kind in _TABLES:
        found: Floats = _TABLES[kind][raw]
        return found
    return raw.astype(np.float32)


def _small_floats(exponent_bits: int, mantissa_bits: int, bias: int) -> Floats:
    """The 256 values of a float of 8 bits; those beside its range are not a number."""
    codes = np.arange(256)
    exponent = (codes >> mantissa_bits) & ((1 << exponent_bits) - 1)
    mantissa = (codes & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    normal = np.ldexp(1 + mantissa, exponent - bias)
    values = np.where(exponent == 0, np.ldexp(mantissa, 1 - bias), normal)
    return np.where(codes & 128, -values, values).astype(np.float32)


def _table_e4m3() -> Floats:
    table = _small_floats(4, 3, 7)
    table[[0x7F, 0xFF]] = np.nan
    return table


def _table_e5m2() -> Floats:
    table = _small_floats(5, 2, 15)
    table[[0x7C, 0xFC]] = np.inf, -np.inf
    table[0x7D:0x80] = table[0xFD:] = np.nan
    return table


def _table_e8m0() -> Floats:
    with np.errstate(over="ignore"):
        table = np.ldexp(1.0, np.arange(256) - 127).astype(np.float32)
    table[255] = np.nan
    return table


_TABLES: Final = {"F8_E4M3": _table_e4m3(), "F8_E5M2": _table_e5m2(), "F8_E8M0": _table_e8m0()}
