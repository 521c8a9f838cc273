"""What a search has found, on its way into blocks: numbers of all lanes, each lane's in a loose block of its own."""

from __future__ import annotations

from collections.abc import Sequence

from llamachat.engine.backend.cpu.jit.values import I8, I16, Ptr, Vec
from llamachat.engine.backend.cpu.kernels.functions import nearest
from llamachat.engine.backend.cpu.kernels.packing import put_fields
from llamachat.engine.backend.cpu.kernels.reader import RowReader
from llamachat.engine.backend.cpu.kernels.search import Search
from llamachat.engine.quants.loose import Loose

_DWORD = 4


class Written:
    """The loose blocks of all lanes."""

    def __init__(self, s: Search, loose: Loose) -> None:
        self.s, self.loose, self.size = s, loose, loose.layout.itemsize
        self.memory = s.k.memory(I8, self.size * s.n_lanes)
        self._to = s.k.memory(I8, 8 * s.n_lanes)

    def has(self, name: str) -> bool:
        """Whether blocks have such a field."""
        return name in (self.loose.layout.names or ())

    def put(self, name: str, index: Vec | int, values: Vec) -> None:
        """A number of each lane, float32, as number `index` of a field."""
        kind = self.loose.layout[name].base
        if kind.kind != "f":
            values = nearest(values).cut(I8 if kind.itemsize == 1 else I16)
        at = self.memory[self.loose.offset(name)][index * kind.itemsize]
        for lane in range(self.s.n_lanes):
            at[lane * self.size].store(values.lane(lane), 1)

    def put_codes(self, name: str, first: Vec, codes: Sequence[Vec]) -> None:
        """Integers of each lane, i32, as numbers `first` .. of a field of bytes; there are whole dwords of them."""
        at = self.memory[self.loose.offset(name)][first]
        for i in range(0, len(codes), _DWORD):
            four = [code & 255 for code in codes[i : i + _DWORD]]
            dword = four[0] | (four[1] << 8) | (four[2] << 16) | (four[3] << 24)
            for lane in range(self.s.n_lanes):
                at[lane * self.size + i].store(dword.lane(lane), 1)

    def finish(self, to: Sequence[Ptr]) -> None:
        """Writes the blocks of the file from the loose ones, lane by lane."""
        for lane, block in enumerate(to):
            self._to[8 * lane].store(block.address, 8)
        k, fmt = self.s.k, self.loose.fmt
        with k.loop(0, self.s.n_lanes) as i:
            reader = RowReader(k, self.s.isa, self.loose.block, self.memory[i * self.size])
            put_fields(reader, self.loose.puts, fmt.layout, Ptr(self._to[i * 8].load(block.address.type, 8)))
