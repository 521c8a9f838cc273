"""Weights that are floats, F32, F16 and BF16, and numbers of other types, as formats with blocks of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.quants.format import Bytes, Floats


@dataclass(frozen=True)
class FloatFormat:
    """A type of single numbers; `layout` has one field, the weight."""

    name: str
    layout: np.dtype[np.void]
    block: int = 1

    def decode(self, data: Bytes) -> Floats:
        """float32 [n] of raw bytes."""
        words = np.ascontiguousarray(data).ravel().view(self.layout)["w"]
        if self.name == "BF16":
            return (words.astype(np.uint32) << 16).view(np.float32)
        with np.errstate(over="ignore"):  # too large is infinite
            return words.astype(np.float32)

    def encode(self, values: NDArray[np.floating]) -> Bytes:
        """Raw bytes of n values of any shape, rounded to nearest even: uint8 [n * size of one]."""
        wide = np.ascontiguousarray(values, np.float32).ravel()
        if self.name != "BF16":
            with np.errstate(over="ignore", under="ignore"):  # too large is infinite
                return wide.astype(self.layout["w"]).view(np.uint8)
        bits = wide.view(np.uint32)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        return np.where(np.isnan(wide), (bits >> 16) | 0x40, rounded).astype("<u2").view(np.uint8)


FLOATS = [
    FloatFormat(name, np.dtype([("w", kind)])) for name, kind in (("F32", "<f4"), ("F16", "<f2"), ("BF16", "<u2"))
]

NUMBERS = [
    FloatFormat(name, np.dtype([("w", kind)]))
    for name, kind in (("F64", "<f8"), ("I8", "i1"), ("I16", "<i2"), ("I32", "<i4"), ("I64", "<i8"))
]
