"""Products of low rank beside a matrix's: y = base + B (factors * A x), A [rank, n_in], B [n_out, rank].

`Down` multiplies with A, stretches of CHUNK columns at a time, so that threads share the work of one token; `Up` adds
the stretches, multiplies with B and adds what is in y's place. Both matrices are small: they are read from a cache for
every token, four tokens at a time where there are so many.

Order of additions: in a stretch columns from left to right, stretches from left to right, ranks from left to right,
base last; multiply-adds are rounded once. It depends on nothing but the shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, I32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.float_product import read_floats
from llamachat.engine.backend.cpu.kernels.rows import ROWS, parts_of

CHUNK = 512
"""Columns of x in a stretch."""
RANKS = 16
"""Ranks come in whole multiples of this, so that every register is whole."""


@dataclass(frozen=True)
class Down(KernelSpec):
    """parts[row][stretch][rank] = A x over the stretch's columns.

    format: of A, packed as [n_in][rank] (`packed_down`). tokens: how many go together; 1 where each row has an expert
    of its own. x: rows of `stride` bytes with `width` values, each for `each` rows; chosen: int32 at every row of
    `chosen_row` bytes, or 0; expert_bytes: from one expert's A to the next one's. rank: padded; chunks: of a row.
    """

    format: str
    tokens: int
    experts: bool = False
    arguments: ClassVar = (
        *("x", "chosen", "down", "parts", "count", "chunks", "width", "rank"),
        *("stride", "each", "chosen_row", "expert_bytes"),
    )
    reads: ClassVar = ("x", "chosen")
    writes: ClassVar = ("parts",)
    broadcast: ClassVar = ("x", "chosen")

    @property
    def split(self) -> Shares:
        """Stretches of groups of tokens."""
        return Shares("count", ("chunks",), panel=self.tokens)

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Stretch by stretch."""
        first, last = self.split.share(k)
        with k.loop(first, last) as item, k.when(k.not_cancelled()):
            row, chunk = item // k.args.chunks * self.tokens, item % k.args.chunks
            if self.tokens == 1:
                self._stretch(k, isa, row, chunk, 1)
                return
            n_rows = k.count()
            with k.when(row + (self.tokens - 1) < n_rows):
                self._stretch(k, isa, row, chunk, self.tokens)
            with k.when(n_rows < row + self.tokens), k.loop(row, n_rows) as one:
                self._stretch(k, isa, one, chunk, 1)

    def _stretch(self, k: Kernel, isa: Generic, row: Vec, chunk: Vec, tokens: int) -> None:
        """The stretch's columns of some neighbouring rows."""
        n, item = isa.rows, item_bytes(self.format)
        begin = chunk * CHUNK
        end = (begin + CHUNK).min(k.args.width)
        down, x = k.pointer("down"), k.pointer("x")[(row // k.args.each if self.experts else row) * k.args.stride]
        if self.experts:
            down = down[_number(k, row) * k.args.expert_bytes]
        at_once = 2 if n < RANKS else 1
        with k.loop(0, k.args.rank, at_once * n) as rank:
            zero = k.zeros(lanes(F32, n))
            sums = [[k.var(zero) for _ in range(tokens)] for _ in range(at_once)]
            with k.loop(begin, end) as column:
                values = [x[column * 4 + t * k.args.stride].load(F32, 4).splat(n) for t in range(tokens)]
                for i, some in enumerate(sums):
                    weights = read_floats(k, isa, self.format, down[(column * k.args.rank + rank + i * n) * item], n)
                    for one, value in zip(some, values, strict=True):
                        one.set(isa.fma(k, weights, value, one.get()))
            for i, some in enumerate(sums):
                for t, one in enumerate(some):
                    place = ((row + t) * k.args.chunks + chunk) * k.args.rank + rank + i * n
                    k.pointer("parts")[place * 4].store(one.get(), 4)


@dataclass(frozen=True)
class Up(KernelSpec):
    """y = other + B (factors * the sum of a row's stretches); y may be other.

    format: of B, packed in units of 32 rows as [rank][32] (`packed_up`), `units` of them. n_rank: not padded; scratch:
    `room` bytes for each thread, at least 4 * rank. Else as `Down`.
    """

    format: str
    experts: bool = False
    arguments: ClassVar = (
        *("parts", "chosen", "up", "factors", "other", "y", "scratch", "room", "count", "units", "chunks"),
        *("rank", "n_rank", "stride", "chosen_row", "expert_bytes"),
    )
    reads: ClassVar = ("parts", "chosen", "other")
    writes: ClassVar = ("y", "scratch")
    broadcast: ClassVar = ("parts", "chosen")
    split: ClassVar = Shares("", ("units",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Row by row; each thread adds the stretches for itself, which costs less than waiting for one that does."""
        first, last = self.split.share(k)
        inner = k.pointer("scratch")[k.thread * k.args.room]
        with k.when(last > first), k.loop(0, k.count()) as row, k.when(k.not_cancelled()):
            self._inner(k, isa, row, inner)
            up = k.pointer("up")
            if self.experts:
                up = up[_number(k, row) * k.args.expert_bytes]
            with k.loop(first, last) as unit:
                self._unit(k, isa, up[unit * k.args.n_rank * (ROWS * item_bytes(self.format))], inner, row, unit)

    def _inner(self, k: Kernel, isa: Generic, row: Vec, inner: Ptr) -> None:
        """factors * A x of a row."""
        kind = lanes(F32, isa.rows)
        with k.loop(0, k.args.rank * 4, 4 * isa.rows) as at:
            total = k.var(k.zeros(kind))
            with k.loop(0, k.args.chunks) as chunk:
                part = k.pointer("parts")[(row * k.args.chunks + chunk) * k.args.rank * 4 + at]
                total.set(total.get() + part.load(kind, 4))
            inner[at].store(total.get() * k.pointer("factors")[at].load(kind, 4), 4)

    def _unit(self, k: Kernel, isa: Generic, tile: Ptr, inner: Ptr, row: Vec, unit: Vec) -> None:
        """32 rows of B times the row's inner values, added to the base."""
        n, item, kind = isa.rows, item_bytes(self.format), lanes(F32, isa.rows)
        sums = [k.var(k.zeros(kind)) for _ in range(parts_of(isa))]
        with k.loop(0, k.args.n_rank) as rank:
            value = inner[rank * 4].load(F32, 4).splat(n)
            for part, total in enumerate(sums):
                weights = read_floats(k, isa, self.format, tile[rank * (ROWS * item) + part * n * item], n)
                total.set(isa.fma(k, weights, value, total.get()))
        at = row * k.args.stride + unit * (4 * ROWS)
        for part, total in enumerate(sums):
            base = k.pointer("other")[at + 4 * n * part].load(kind, 4)
            k.pointer("y")[at + 4 * n * part].store(base + total.get(), 4)


@dataclass(frozen=True)
class AddDirection(KernelSpec):
    """y = x + direction, over rows of `stride` bytes; direction: float32, as many as a row has room for."""

    arguments: ClassVar = ("x", "direction", "y", "count", "stride")
    reads: ClassVar = ("x",)
    writes: ClassVar = ("y",)
    split: ClassVar = Shares()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Row by row."""
        first, last = self.split.share(k)
        kind = lanes(F32, isa.rows)
        with k.loop(first, last) as row, k.loop(0, k.args.stride, 4 * isa.rows) as at:
            place = row * k.args.stride + at
            value = k.pointer("x")[place].load(kind, 4) + k.pointer("direction")[at].load(kind, 4)
            k.pointer("y")[place].store(value, 4)


def item_bytes(name: str) -> int:
    """Of a weight of a float format."""
    return 2 if name in ("F16", "BF16") else 4


def padded_rank(rank: int) -> int:
    """Ranks with those that fill the last register of every instruction set."""
    return -(-rank // RANKS) * RANKS


def chunks_of(width: int) -> int:
    """Stretches of a row."""
    return -(-width // CHUNK)


def parts_bytes(width: int, rank: int, n_rows: int) -> int:
    """What `Down` writes for n_rows."""
    return 4 * n_rows * chunks_of(width) * padded_rank(rank)


def down_bytes(shape: Sequence[int], item: int) -> int:
    """A [.., rank, n_in], packed."""
    return _product(shape[:-2]) * padded_rank(shape[-2]) * shape[-1] * item


def up_bytes(shape: Sequence[int], item: int) -> int:
    """B [.., n_out, rank], packed."""
    return _product(shape[:-2]) * -(-shape[-2] // ROWS) * ROWS * shape[-1] * item


def _product(sizes: Sequence[int]) -> int:
    found = 1
    for size in sizes:
        found *= size
    return found


def _number(k: Kernel, row: Vec) -> Vec:
    """The expert of a row."""
    return k.pointer("chosen")[row * k.args.chosen_row].load(I32, 4).signed(row.type)
