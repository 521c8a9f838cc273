"""A block format as one expression: w[i] = scale[i // group] * q[i] + offset[i // group].

The three parts are trees over the block's bytes (`trees.py`). `scale` is a product of floats and integers, such as
d * scales, and so is `offset`; `q` are integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.gguf.types import BY_NAME
from llamachat.engine.quants.parts import Parts, split
from llamachat.engine.quants.reader import reader
from llamachat.engine.quants.trees import Expr

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

_CHUNK_WEIGHTS = 1 << 20


@dataclass(frozen=True)
class BlockFormat:
    """A quantised format: `block` weights in the bytes of `layout`, `group` of them sharing a scale.

    in_file: whether a tensor type of that name has such blocks; else they are what kernels read (`stored.py`).
    """

    name: str
    layout: np.dtype[np.void]
    block: int
    group: int
    q: Expr
    scale: Expr
    offset: Expr | None = None
    in_file: bool = True

    def __post_init__(self) -> None:
        """Measures an empty block: a wrong description is caught when it is written."""
        groups, read = self.block // self.group, reader(np.zeros(1, self.layout))
        assert self.block % self.group == 0, f"{self.name}: groups of {self.group} do not divide {self.block}"
        kind = BY_NAME[self.name]
        size = (self.block, self.layout.itemsize)
        assert not self.in_file or (kind.block, kind.bytes) == size, f"{self.name}: not {kind}"
        assert self.q.of(read).shape == (1, self.block), f"{self.name}: q does not have {self.block} values"
        for what, part in (("scales", self.scale), ("offsets", self.offset)):
            count = 1 if part is None else part.of(read).shape[1]
            assert count in (1, groups), f"{self.name}: {count} {what}, not 1 or {groups}"

    @cached_property
    def parts(self) -> Parts:
        """What kernels multiply and add: codes, integers of a group, floats of a block."""
        return split(self.q, self.scale, self.offset, reader(np.zeros(1, self.layout)))

    def values(self, tree: Expr, data: Bytes) -> Any:
        """All numbers of a tree in raw blocks: [n_blocks, count]."""
        with np.errstate(all="ignore"):
            return tree.of(reader(np.ascontiguousarray(data).ravel().view(self.layout)))

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
        read = reader(blocks)
        groups = (len(blocks), self.block // self.group, self.group)
        scale = self.scale.of(read).astype(np.float32)[:, :, None]
        weights: Floats = scale * self.q.of(read).astype(np.float32).reshape(groups)
        if self.offset is not None:
            weights += self.offset.of(read).astype(np.float32)[:, :, None]
        return weights


def block_format(name: str, layout: list[tuple[Any, ...]], block: int, group: int, **parts: Any) -> BlockFormat:
    """A format from the fields of its block."""
    return BlockFormat(name, np.dtype(layout), block, group, **parts)
