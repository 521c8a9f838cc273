"""Keys and values of a step's tokens into the cache of their sequence, and keys out of it.

The cache of a sequence is one piece of memory, chunk by chunk: CHUNK cells of several layers lie together. `at` is
where a layer's keys or values begin in the first chunk, from where the row says that the cache is: keys
[n_head_kv][CHUNK / LANES] groups of LANES keys, values [n_head_kv] of CHUNK cells, as their formats lay them out.
chunk_bytes: how far it is to the next chunk, which may lie before. n_chunks: how many there are; then it begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import Ptr, Vec
from llamachat.engine.backend.cpu.kernels.cache_formats import CACHE_FORMATS, CHUNK, CacheFormat
from llamachat.engine.backend.cpu.kernels.norm import LANES

PLACE = ("n_head_kv", "chunk_bytes", "n_chunks")
"""Arguments that say how a layer's cells lie."""


@dataclass(frozen=True)
class StoreValues(KernelSpec):
    """x: float32 rows of `stride` bytes, n_head_kv heads each, into the cells of the step's rows; cache: the layer."""

    head_dim: int
    cache_type: str
    arguments: ClassVar = ("x", "at", "stride", *PLACE)
    reads: ClassVar = ("x",)
    writes: ClassVar = ("cache",)
    split: ClassVar = Shares("n_tokens", ("n_head_kv",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Head by head of each token."""
        fmt, dim = CACHE_FORMATS[self.cache_type], self.head_dim
        first, last = self.split.share(k)
        with k.loop(first, last) as item:
            row, head = k.row(item // k.args.n_head_kv), item % k.args.n_head_kv
            source = k.pointer("x")[item // k.args.n_head_kv * k.args.stride + head * (4 * dim)]
            chunk = chunk_of(k, Ptr(row.cache), row.cell // CHUNK)[k.args.at]
            self.store(k, isa, source, chunk[head * (CHUNK * fmt.row_bytes(dim))], row.cell % CHUNK)

    def store(self, k: Kernel, isa: Generic, source: Ptr, rows: Ptr, cell: Vec) -> None:
        """One head of one token, in a cell of a chunk."""
        fmt = CACHE_FORMATS[self.cache_type]
        fmt.store_values(k, isa, source, rows, cell, self.head_dim)


@dataclass(frozen=True)
class StoreKeys(StoreValues):
    """The same of keys."""

    def store(self, k: Kernel, isa: Generic, source: Ptr, rows: Ptr, cell: Vec) -> None:
        """One head of one token, in a cell of a chunk."""
        fmt = CACHE_FORMATS[self.cache_type]
        group = key_group(rows, fmt, self.head_dim, cell)
        fmt.store_keys(k, isa, source, group, cell % LANES, self.head_dim)


@dataclass(frozen=True)
class StoreEncoded(KernelSpec):
    """Values of an encoder's `count` rows, or keys, in place of those before, into the cache of the step's sequence.

    counter: where the number of rows is kept. Other arguments as of `StoreValues`.
    """

    head_dim: int
    cache_type: str
    keys: bool
    arguments: ClassVar = ("x", "at", "stride", *PLACE, "count", "counter")
    reads: ClassVar = ("x",)
    writes: ClassVar = ("cache",)
    split: ClassVar = Shares("count", ("n_head_kv",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Head by head of each row; whoever has the first one writes the number."""
        fmt, dim = CACHE_FORMATS[self.cache_type], self.head_dim
        store = (StoreKeys if self.keys else StoreValues)(dim, self.cache_type)
        cache = Ptr(k.row(k.number(0)).cache)
        first, last = self.split.share(k)
        with k.when(first.equals(0) & (last > 0)):
            cache[k.args.counter].store(k.count(), 8)
        with k.loop(first, last) as item:
            row, head = item // k.args.n_head_kv, item % k.args.n_head_kv
            source = k.pointer("x")[row * k.args.stride + head * (4 * dim)]
            chunk = chunk_of(k, cache, row // CHUNK)[k.args.at]
            store.store(k, isa, source, chunk[head * (CHUNK * fmt.row_bytes(dim))], row % CHUNK)


@dataclass(frozen=True)
class LoadKeys(KernelSpec):
    """The keys of the cells `source` of the step's rows as float32 rows of `stride` bytes, n_head_kv heads each.

    A thread reads cells that others write, because `source` is another cell than the row's own.
    """

    head_dim: int
    cache_type: str
    arguments: ClassVar = StoreValues.arguments
    reads: ClassVar = ("cache",)
    writes: ClassVar = ("x",)
    broadcast: ClassVar = ("cache",)
    split: ClassVar = StoreValues.split

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Head by head of each token."""
        fmt, dim = CACHE_FORMATS[self.cache_type], self.head_dim
        first, last = self.split.share(k)
        with k.loop(first, last) as item:
            row, head = k.row(item // k.args.n_head_kv), item % k.args.n_head_kv
            chunk = chunk_of(k, Ptr(row.cache), row.source // CHUNK)[k.args.at]
            group = key_group(chunk[head * (CHUNK * fmt.row_bytes(dim))], fmt, dim, row.source % CHUNK)
            x = k.pointer("x")[item // k.args.n_head_kv * k.args.stride + head * (4 * dim)]
            fmt.load_key(k, isa, group, row.source % LANES, x, dim)


def chunk_of(k: Kernel, cache: Ptr, chunk: Vec) -> Ptr:
    """Where a chunk of a sequence's cache begins."""
    return cache[chunk % k.args.n_chunks * k.args.chunk_bytes]


def key_group(rows: Ptr, fmt: CacheFormat, dim: int, cell: Vec) -> Ptr:
    """Where the group of LANES keys of a chunk's cell begins; rows: where a head's keys begin in the chunk."""
    return rows[cell // LANES * (fmt.row_bytes(dim) * LANES)]
