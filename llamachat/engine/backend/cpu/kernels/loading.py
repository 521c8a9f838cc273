"""A matrix from its file into tiles: each thread reads a few units at a time into the cache, and packs them from there.

Reading and packing by the thread whose share of the product it is also places the tiles: a page of memory belongs to
the processor that touches it first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import CACHE_LINE, Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import I64, Ptr, Vec
from llamachat.engine.backend.cpu.kernels.packing import PACK_ARGUMENTS

HEAD = CACHE_LINE * -(-8 * len(PACK_ARGUMENTS) // CACHE_LINE)
"""Bytes of a thread's buffer before its rows: the packing kernel's arguments."""


@dataclass(frozen=True)
class Load(KernelSpec):
    """Reads and packs `experts` matrices of `rows` rows of `row_bytes`, which lie one after the other in a file.

    read: the address of a function with pread's signature; file: its first argument; at: where the first row lies.
    pack: the packing kernel; units: of one matrix, `unit_rows` rows and `unit_bytes` of tiles each. buffer: `room`
    bytes for each thread: HEAD, then rows, at least those of a unit. failed: an i64, set to 1 + the place that could
    not be read; done: an i64 a thread, CACHE_LINE apart, to which it adds the bytes that it has read.
    """

    arguments: ClassVar = (
        *("read", "file", "at", "pack", "tiles", "experts", "rows", "row_bytes", "blocks", "units"),
        *("unit_rows", "unit_bytes", "buffer", "room", "failed", "done"),
    )
    split: ClassVar = Shares("", ("experts", "units"))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """As many units at once as the buffer holds, none beyond the end of a matrix."""
        args = k.args
        first, last = self.split.share(k)
        most = ((args.room - HEAD) // (args.unit_rows * args.row_bytes)).max(1)
        item = k.var(first)
        with k.while_() as break_if:
            break_if(item.get() >= last)
            break_if(k.not_cancelled().equals(0))
            expert, unit = item.get() // args.units, item.get() % args.units
            count = most.min(args.units - unit).min(last - item.get())
            rows = (count * args.unit_rows).min(args.rows - unit * args.unit_rows)
            place = args.at + (expert * args.rows + unit * args.unit_rows) * args.row_bytes
            self._read(k, place, rows * args.row_bytes)
            with k.when(k.not_cancelled()):
                self._pack(k, args.tiles + item.get() * args.unit_bytes, rows, count)
            item.set(item.get() + count)

    def _read(self, k: Kernel, place: Vec, n_bytes: Vec) -> None:
        """Fills the buffer; where the file gives nothing, says so and stops the step for all."""
        to, done = _buffer(k)[HEAD].address, k.var(k.number(0))
        with k.while_() as break_if:
            break_if(done.get() >= n_bytes)
            have = done.get()
            some = k.call_address(k.args.read, I64, k.args.file, to + have, n_bytes - have, place + have)
            with k.when(some <= 0):
                k.pointer("failed").store_atomic(place + have + 1)
                k.cancel()
            break_if(some <= 0)
            done.set(have + some)
        counter = k.pointer("done")[k.thread * CACHE_LINE]
        counter.store_atomic(counter.load(I64, 8) + n_bytes)

    def _pack(self, k: Kernel, tiles: Vec, rows: Vec, units: Vec) -> None:
        """The packing kernel, as one thread of one."""
        given = {"source": _buffer(k)[HEAD].address, "tiles": tiles, "rows": rows}
        given |= {"blocks": k.args.blocks, "units": units}
        for i, name in enumerate(PACK_ARGUMENTS):
            _buffer(k)[8 * i].store(given[name], 8)
        k.call_address(k.args.pack, None, _buffer(k).address, k.step.base, k.number(0), k.number(1))


def _buffer(k: Kernel) -> Ptr:
    return k.pointer("buffer")[k.thread * k.args.room]
