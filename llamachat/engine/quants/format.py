"""A block format as one expression: w[i] = scale[i // group] * q[i] + offset[i // group].

The three parts are trees over the block's bytes, made of frozen records. Two readers fold them: `BlockFormat.decode`
over NumPy arrays (`of`: all values at once), the kernels over registers (`at`: value number i).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.gguf.types import BY_NAME

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

_CHUNK_WEIGHTS = 1 << 20
_APPLY: dict[str, Callable[[Any, Any], Any]] = {
    "|": operator.or_,
    "<<": operator.lshift,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
}


class Expr:
    """A row of numbers in a block. Operators build a tree."""

    def of(self, read: Callable[[Expr], Any]) -> Any:
        """The tree folded over whole rows: `read(leaf)` returns all numbers of a leaf."""
        return read(self)

    def at(self, i: int, read: Callable[[Expr, int], Any]) -> Any:
        """The tree folded for number i alone: `read(leaf, i)` returns number i of a leaf."""
        return read(self, i)

    def __or__(self, other: Expr) -> Op:
        return Op("|", self, other)

    def __lshift__(self, n: int) -> Op:
        return Op("<<", self, n)

    def __add__(self, other: Expr | float) -> Op:
        return Op("+", self, other)

    def __sub__(self, other: Expr | float) -> Op:
        return Op("-", self, other)

    def __mul__(self, other: Expr | float) -> Op:
        return Op("*", self, other)


@dataclass(frozen=True)
class Op(Expr):
    """Two rows, or a row and a number, combined."""

    op: str
    a: Expr
    b: Expr | float

    def of(self, read: Callable[[Expr], Any]) -> Any:
        """Both sides folded and combined."""
        return _APPLY[self.op](self.a.of(read), self.b.of(read) if isinstance(self.b, Expr) else self.b)

    def at(self, i: int, read: Callable[[Expr, int], Any]) -> Any:
        """Both sides' number i combined."""
        return _APPLY[self.op](self.a.at(i, read), self.b.at(i, read) if isinstance(self.b, Expr) else self.b)


@dataclass(frozen=True)
class Num(Expr):
    """A field read as numbers: halves, signed bytes."""

    field: str


@dataclass(frozen=True)
class Bits(Expr):
    """Unsigned integers of `bits` bits in bytes; `run` neighbours lie in neighbouring bytes.

    Value i is in byte i // (run * per) * run + i % run, at bit bits * (i // run % per); per = values in a byte.
    """

    field: str
    bits: int
    run: int = 1

    @property
    def per(self) -> int:
        """Values in a byte."""
        return 8 // self.bits

    def place(self, i: int) -> tuple[int, int]:
        """(byte in the field, lowest bit in the byte) of value i."""
        return i // (self.run * self.per) * self.run + i % self.run, self.bits * (i // self.run % self.per)

    def __getitem__(self, part: slice) -> Part:
        return Part(self, part.start, part.stop)


@dataclass(frozen=True)
class Part(Expr):
    """Numbers start .. stop - 1 of a row."""

    whole: Bits
    start: int
    stop: int

    def of(self, read: Callable[[Expr], Any]) -> Any:
        """Those columns of the whole."""
        return self.whole.of(read)[:, self.start : self.stop]

    def at(self, i: int, read: Callable[[Expr, int], Any]) -> Any:
        """Number start + i of the whole."""
        return self.whole.at(self.start + i, read)


@dataclass(frozen=True)
class Join(Expr):
    """The first n numbers of `a`, then those of `b`."""

    a: Expr
    b: Expr
    n: int

    def of(self, read: Callable[[Expr], Any]) -> Any:
        """Both, side by side."""
        return np.concatenate([self.a.of(read), self.b.of(read)], axis=1)

    def at(self, i: int, read: Callable[[Expr, int], Any]) -> Any:
        """From the side that holds number i."""
        return self.a.at(i, read) if i < self.n else self.b.at(i - self.n, read)


@dataclass(frozen=True)
class BlockFormat:
    """A quantised format: `block` weights in the bytes of `layout`, `group` of them sharing a scale."""

    name: str
    layout: np.dtype[np.void]
    block: int
    group: int
    q: Expr
    scale: Expr
    offset: Expr | None = None

    def __post_init__(self) -> None:
        """Measures an empty block: a wrong description is caught when it is written."""
        kind, groups, read = BY_NAME[self.name], self.block // self.group, _reader(np.zeros(1, self.layout))
        assert self.block % self.group == 0, f"{self.name}: groups of {self.group} do not divide {self.block}"
        assert (kind.block, kind.bytes) == (self.block, self.layout.itemsize), f"{self.name}: not {kind}"
        assert self.q.of(read).shape == (1, self.block), f"{self.name}: q does not have {self.block} values"
        for what, part in (("scales", self.scale), ("offsets", self.offset)):
            count = 1 if part is None else part.of(read).shape[1]
            assert count in (1, groups), f"{self.name}: {count} {what}, not 1 or {groups}"

    def decode(self, data: Bytes) -> Floats:
        """float32 [n_blocks * block] of raw blocks: each product and sum rounded once, as ggml's reference does."""
        blocks = np.ascontiguousarray(data).ravel().view(self.layout)
        out = np.empty(len(blocks) * self.block, np.float32)
        step = max(1, _CHUNK_WEIGHTS // self.block)
        for start in range(0, len(blocks), step):
            part = blocks[start : start + step]
            with np.errstate(all="ignore"):  # a scale may be infinite or no number
                out[start * self.block : (start + len(part)) * self.block] = self._decode(part).ravel()
        return out

    def _decode(self, blocks: NDArray[np.void]) -> Floats:
        read = _reader(blocks)
        groups = (len(blocks), self.block // self.group, self.group)
        scale = self.scale.of(read).astype(np.float32)[:, :, None]
        weights: Floats = scale * self.q.of(read).astype(np.float32).reshape(groups)
        if self.offset is not None:
            weights += self.offset.of(read).astype(np.float32)[:, :, None]
        return weights


def _reader(blocks: NDArray[np.void]) -> Callable[[Expr], Any]:
    """Leaves of a structured array: integers as int32, halves as float32, [n_blocks, count]."""

    def read(leaf: Expr) -> Any:
        assert isinstance(leaf, Num | Bits)
        words = blocks[leaf.field].reshape(len(blocks), -1)
        if isinstance(leaf, Num):
            return words.astype(np.float32 if words.dtype.kind == "f" else np.int32)
        per = leaf.per
        runs = words.reshape(len(blocks), -1, 1, leaf.run)
        shifts = (np.arange(per, dtype=np.uint8) * leaf.bits).reshape(1, 1, per, 1)
        return ((runs >> shifts) & np.uint8((1 << leaf.bits) - 1)).reshape(len(blocks), -1).astype(np.int32)

    return read


def block_format(name: str, layout: list[tuple[Any, ...]], block: int, group: int, **parts: Expr) -> BlockFormat:
    """A format from the fields of its block."""
    return BlockFormat(name, np.dtype(layout), block, group, **parts)
