"""A Program: the list of launches that is a forward pass, laid out for native code.

Kernels declare what they read and write and how they split their items. From that follow the places of the regions
(a region's bytes are used again after its last launch) and the barriers: one stands where a launch touches what another
thread may still be writing or reading. Launches that split the same rows in the same way need none between them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.jit.compiler import Compiler, KernelSpec
from llamachat.engine.backend.cpu.kernels.walker import LAUNCH_BYTES

ALIGN = 64

LATER = 2
SMALL = 1 << 20
"""Bytes of regions that are waited for at a barrier longer than it takes to fill others."""


@dataclass(eq=False)
class Region:
    """A piece of memory that launches share.

    fixed: an address in memory that is not the program's own. no_address: it stands for memory that the kernels reach
    otherwise (a cache) and only orders the launches that touch it. private: each thread touches only a part of its own.
    """

    n_bytes: int
    fixed: int = 0
    no_address: bool = False
    private: bool = False

    @property
    def own(self) -> bool:
        """Whether it is placed in the program's memory."""
        return not (self.fixed or self.no_address)


Arguments = dict[str, int | float | Region]
"""A launch's arguments by name: integers, regions whose address is meant, and numbers: those of `reals`."""


@dataclass(frozen=True)
class Access:
    """How a launch touches a region: `split` names how its items go to threads."""

    region: Region
    split: tuple[object, ...]
    writes: bool


@dataclass(frozen=True)
class Launch:
    """One kernel and its arguments; also what stands for memory that the kernel names but gets no address of."""

    spec: KernelSpec
    arguments: Arguments

    @cached_property
    def accesses(self) -> list[Access]:
        """Everything it touches, as the kernel declares it."""
        spec, key = self.spec, self.spec.split.key(self.arguments)
        reads = [Access(r, () if name in spec.broadcast else key, False) for name, r in self._regions(spec.reads)]
        return reads + [Access(r, key, True) for _, r in self._regions(spec.writes)]

    def _regions(self, names: Sequence[str]) -> list[tuple[str, Region]]:
        """Those of the arguments that are regions; others are 0 where there is nothing."""
        found = [(name, self.arguments.get(name)) for name in names]
        return [(name, region) for name, region in found if isinstance(region, Region)]


@dataclass
class Program:
    """Launches in memory. `n_launches` at `address`; keeps alive what they point to."""

    address: int
    n_launches: int
    n_bytes: int
    _keep: list[object] = field(default_factory=list)


def build(launches: Sequence[Launch], compiler: Compiler) -> Program:
    """Places the regions, sets the barriers and writes the launches and their arguments."""
    places, size = _place(launches)
    memory = Buffer(size, huge=True)
    barriers = _barriers(launches, places)
    arguments = Buffer(8 * max(1, sum(len(launch.spec.arguments) for launch in launches)))
    table = Buffer(LAUNCH_BYTES * max(1, len(launches)))
    rows = table.view(np.int64, (max(1, len(launches)), LAUNCH_BYTES // 8))
    values = arguments.view(np.int64, (arguments.n_bytes // 8,))
    at = 0
    for i, launch in enumerate(launches):
        n = len(launch.spec.arguments)
        rows[i] = (compiler.address(launch.spec), arguments.address + 8 * at, barriers[i], 0)
        values[at : at + n] = _values(launch, places, memory.address)
        at += n
    return Program(table.address, len(launches), size, [memory, arguments, table])


def _values(launch: Launch, places: dict[Region, int], base: int) -> list[int]:
    """What is written into the i64 fields of a launch's arguments."""
    spec, given = launch.spec, launch.arguments
    return [_bits(given[name]) if name in spec.reals else _value(given[name], places, base) for name in spec.arguments]


def _value(value: int | float | Region, places: dict[Region, int], base: int) -> int:
    if isinstance(value, Region):
        return value.fixed or base + places[value]
    assert isinstance(value, int)
    return value


def _bits(value: int | float | Region) -> int:
    """A number as the bits of a float32."""
    assert not isinstance(value, Region)
    return int.from_bytes(struct.pack("<f", value), "little")


def _place(launches: Sequence[Launch]) -> tuple[dict[Region, int], int]:
    """Offsets of the program's own regions, first fit; a region is free again after the last launch that touches it.

    A small one keeps its place for LATER more: what took it at once would need a barrier before it.
    """
    last = {access.region: i for i, launch in enumerate(launches) for access in launch.accesses}
    places: dict[Region, int] = {}
    live: list[tuple[int, int, int]] = []  # (offset, end, last launch)
    size = 0
    for i, launch in enumerate(launches):
        live = [piece for piece in live if piece[2] >= i]
        for region in (access.region for access in launch.accesses):
            if not region.own or region in places:
                continue
            offset = _first_fit(live, region.n_bytes)
            places[region] = offset
            live.append((offset, offset + region.n_bytes, last[region] + (LATER if region.n_bytes <= SMALL else 0)))
            size = max(size, offset + region.n_bytes)
    return places, size


def _first_fit(live: Sequence[tuple[int, int, int]], n_bytes: int) -> int:
    offset = 0
    for start, end, _ in sorted(live):
        if offset + n_bytes <= start:
            break
        offset = max(offset, -(-end // ALIGN) * ALIGN)
    return offset


def _barriers(launches: Sequence[Launch], places: dict[Region, int]) -> list[int]:
    """1 for each launch that a barrier follows; always the last."""
    after = [0] * len(launches)
    since: list[Access] = []
    for i, launch in enumerate(launches):
        if any(_conflict(a, b, places) for a in launch.accesses for b in since):
            after[i - 1] = 1
            since = []
        since += launch.accesses
    if launches:
        after[-1] = 1
    return after


def _conflict(a: Access, b: Access, places: dict[Region, int]) -> bool:
    """Whether two accesses may meet on the same bytes from two threads, one of them writing."""
    if not (a.writes or b.writes):
        return False
    if a.region is b.region:
        return not a.region.private and (not a.split or a.split != b.split)
    if not (a.region.own and b.region.own):
        return False
    start_a, start_b = places[a.region], places[b.region]
    return start_a < start_b + b.region.n_bytes and start_b < start_a + a.region.n_bytes
