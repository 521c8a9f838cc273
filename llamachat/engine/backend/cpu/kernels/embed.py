"""Token embeddings: rows of a matrix that stays as it is in the file, decoded to float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, I8, I16, I32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.float_product import read_floats
from llamachat.engine.backend.cpu.kernels.of_format import FormatKernel
from llamachat.engine.quants import FORMATS
from llamachat.engine.quants.format import BlockFormat
from llamachat.engine.quants.trees import Bits, Expr, Num

_WIDTH = 16


@dataclass(frozen=True)
class Embed(FormatKernel):
    """y[t] = factor * table[tokens[t]]; table: rows of `row_bytes` as in the file; y: rows of `stride`;
    factor: float32.
    """

    arguments: ClassVar = ("table", "y", "row_bytes", "blocks", "stride", "factor")
    reals: ClassVar = ("factor",)
    writes: ClassVar = ("y",)
    split: ClassVar = Shares("n_tokens")

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Row by row."""
        fmt, factor = FORMATS[self.format], k.real("factor")
        first, last = self.split.share(k)
        with k.loop(first, last) as t:
            token = Ptr(k.step.tokens)[t * 4].load(I32, 4).signed(t.type)
            row, y = k.pointer("table")[token * k.args.row_bytes], k.pointer("y")[t * k.args.stride]
            with k.loop(0, k.args.blocks) as block:
                at, to = row[block * fmt.layout.itemsize], y[block * (4 * fmt.block)]
                if isinstance(fmt, BlockFormat):
                    for column in range(0, fmt.block, _WIDTH):
                        to[4 * column].store(_Reader(k, isa, fmt, at).weights(column) * factor.splat(_WIDTH), 4)
                else:
                    to.store(read_floats(k, isa, self.format, at, 1) * factor, 4)


class _Reader:
    """Decodes neighbouring columns of one block."""

    def __init__(self, k: Kernel, isa: Generic, fmt: BlockFormat, block: Ptr) -> None:
        self.k, self.isa, self.fmt, self.block = k, isa, fmt, block

    def weights(self, column: int) -> Vec:
        """float32 of columns column .. column + _WIDTH - 1: scale * q + offset, each rounded, as the decoder does."""
        group = column // self.fmt.group
        q = self.fmt.q.at(column, lambda leaf, i: self._row(leaf, i))
        value: Vec = self._float(self.fmt.scale.at(self._of(group), self._number)).splat(_WIDTH) * q
        if self.fmt.offset is None:
            return value
        return value + self._float(self.fmt.offset.at(self._of(group), self._number)).splat(_WIDTH)

    def _of(self, group: int) -> int:
        return group % (self.fmt.block // self.fmt.group)

    def _float(self, value: Vec) -> Vec:
        return value if value.floating else value.to_float()

    def _row(self, leaf: Expr, i: int) -> Vec:
        """_WIDTH neighbouring integers of a leaf."""
        assert isinstance(leaf, (Bits, Num))
        if isinstance(leaf, Num) or leaf.run >= _WIDTH:
            word, bit = (i, 0) if isinstance(leaf, Num) else leaf.place(i)
            value = self._at(leaf.field, word).load(lanes(I8, _WIDTH), 1)
            if isinstance(leaf, Num):
                return value.signed(I32)
            return (value.unsigned(I32) >> bit) & ((1 << leaf.bits) - 1)
        numbers = [self._number(leaf, i + j).splat(_WIDTH) for j in range(_WIDTH)]
        value = numbers[0]
        for j in range(1, _WIDTH):
            here = self.k.ramp(_WIDTH).equals(j)
            value = here.select(numbers[j], value)
        return value

    def _number(self, leaf: Expr, i: int) -> Vec:
        """Number i of a leaf, a scalar."""
        assert isinstance(leaf, (Bits, Num))
        assert self.fmt.layout.fields is not None
        kind = self.fmt.layout.fields[leaf.field][0].base
        word, bit = leaf.place(i) if isinstance(leaf, Bits) else (i if self._has_many(leaf.field) else 0, 0)
        at = self._at(leaf.field, word * kind.itemsize)
        if kind.kind == "f":
            return at.load(F32, 1) if kind.itemsize == 4 else self.isa.widen_half(self.k, at.load(I16, 1))
        value = at.load({1: I8, 2: I16, 4: I32}[kind.itemsize], 1)
        if kind.itemsize < 4:
            value = value.signed(I32) if kind.kind == "i" else value.unsigned(I32)
        return value if isinstance(leaf, Num) else (value >> bit) & ((1 << leaf.bits) - 1)

    def _has_many(self, field: str) -> bool:
        assert self.fmt.layout.fields is not None
        return bool(self.fmt.layout.fields[field][0].shape)

    def _at(self, field: str, offset: int) -> Ptr:
        assert self.fmt.layout.fields is not None
        return self.block[self.fmt.layout.fields[field][1] + offset]
