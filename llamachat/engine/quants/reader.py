"""The leaves of descriptions read from arrays of blocks: what native code is compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.quants.trees import Bits, Expr, Float, Half, Lookup, Num, Trits


def reader(blocks: NDArray[np.void]) -> Callable[[Expr], Any]:
    """Leaves of a structured array [n_blocks]: integers as int32, floats as float32, [n_blocks, count]."""

    def read(leaf: Expr) -> Any:
        if isinstance(leaf, Lookup):
            return leaf.table.entries[leaf.index.of(read)].reshape(len(blocks), -1).astype(np.int32)
        if isinstance(leaf, Half):
            return leaf.bits.of(read).astype(np.uint16).view(np.float16).astype(np.float32)
        assert isinstance(leaf, Num | Float | Bits | Trits)
        words = np.ascontiguousarray(blocks[leaf.field]).reshape(len(blocks), -1)
        if isinstance(leaf, Num):
            return words.astype(np.float32 if words.dtype.kind == "f" else np.int32)
        if isinstance(leaf, Float):
            return _FLOATS[leaf.kind](words)
        digits = words.reshape(len(blocks), -1, 1, leaf.run)
        digits = _bits(digits, leaf) if isinstance(leaf, Bits) else _trits(digits, leaf)
        return digits.reshape(len(blocks), -1).astype(np.int32)

    return read


def _bits(words: NDArray[Any], leaf: Bits) -> NDArray[Any]:
    shifts = (np.arange(leaf.per) * leaf.bits).astype(words.dtype).reshape(1, 1, -1, 1)
    found: NDArray[Any] = (words >> shifts) & words.dtype.type((1 << leaf.bits) - 1)
    return found


def _trits(words: NDArray[Any], leaf: Trits) -> NDArray[Any]:
    powers = (3 ** np.arange(leaf.per)).astype(np.uint8).reshape(1, 1, -1, 1)
    return (words * powers).astype(np.uint16) * np.uint16(3) >> np.uint16(8)


def _bf16(words: NDArray[Any]) -> NDArray[np.float32]:
    return (words.astype(np.uint32) << 16).view(np.float32)


def _e8m0(words: NDArray[Any]) -> NDArray[np.float32]:
    """Of 0 and 1 as well: numbers that are not normalised."""
    codes = words.astype(np.uint32)
    return np.where(codes < 2, np.uint32(1 << 21) << (codes & 1), (codes - 1) << 23).astype(np.uint32).view(np.float32)


def _ue4m3(words: NDArray[Any]) -> NDArray[np.float32]:
    return _e4m3(np.where(words == 0x7F, 0, words & 0x7F))


def _e4m3(words: NDArray[Any]) -> NDArray[np.float32]:
    """As a float32 of the same digits, whose exponent has another bias: 127 against 8."""
    return (words.astype(np.uint32) << 20).view(np.float32) * np.float32(2.0**119)


_FLOATS: dict[str, Callable[[NDArray[Any]], NDArray[np.float32]]] = {
    "bf16": _bf16,
    "e8m0": _e8m0,
    "ue4m3": _ue4m3,
    "e4m3": _e4m3,
}
