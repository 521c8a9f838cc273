"""`CpuState`: the state of one sequence, in one buffer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.cache import CacheLayout
from llamachat.engine.state.spec import RecurrentSpec

Integers = NDArray[np.int64]


class RotatesKeys(Protocol):
    """Who moves and rotates keys, as `KeyRotator.rotate`; one at a time."""

    cache: CacheLayout

    def rotate_keys(self, cache: int, sources: Integers, targets: Integers, differences: Integers, n_lost: int) -> None:
        """See `KeyRotator.rotate`."""
        ...


class CpuState:
    """Implements `state.sequence.SequenceState`, where its methods are described."""

    def __init__(self, owner: RotatesKeys) -> None:
        self._owner, self.layout = owner, owner.cache
        self.memory = Buffer(self.layout.n_bytes, huge=True)

    @property
    def address(self) -> int:
        """Of its first cell."""
        return self.layout.cells(self.memory)

    @property
    def n_bytes(self) -> int:
        """Bytes of all cells and recurrent states."""
        return self.memory.n_bytes

    def used_bytes(self, n_cells: int) -> int:
        """Bytes of the first n_cells and the recurrent states."""
        return self.layout.used_bytes(n_cells)

    def copy(self, source: CpuState, n_cells: int) -> None:
        """Takes over the first n_cells and the recurrent states."""
        np.copyto(self.snapshot(n_cells), source.snapshot(n_cells))

    def remove(self, first: int, last: int, n_cells: int, n_lost: int) -> None:
        """K-shift: the keys of the cells last .. n_cells - 1, then their values."""
        sources = np.arange(last, n_cells)
        differences = np.full(len(sources), first - last)
        targets = sources + (first - last)
        self._owner.rotate_keys(self.address, sources, targets, differences, n_lost)
        self.layout.move_values(self.memory, sources, targets, n_lost)

    def rotate(self, differences: Integers, n_lost: int) -> None:
        """Rotates keys where they are."""
        cells = np.arange(len(differences))
        self._owner.rotate_keys(self.address, cells, cells, differences, n_lost)

    def snapshot(self, n_cells: int) -> NDArray[np.uint8]:
        """A view of the stretch around its first cell: uint8 [used_bytes(n_cells)]."""
        return self.layout.used(self.memory, n_cells)

    def restore(self, n_cells: int, fill: Callable[[NDArray[np.uint8]], None]) -> None:
        """`fill` writes the memory itself, uint8 [used_bytes(n_cells)]."""
        fill(self.snapshot(n_cells))

    def recurrent(self) -> NDArray[np.uint8]:
        """A view: uint8 [state_bytes]."""
        return self.layout.states_in(self.memory)

    def recurrent_of(self, spec: RecurrentSpec) -> NDArray[np.float32]:
        """A view: float32 [n_values]."""
        return self.layout.state_in(self.memory, spec)

    def set_recurrent(self, states: NDArray[np.uint8] | None) -> None:
        """states: uint8 [state_bytes]; None: zeros."""
        self.recurrent()[:] = 0 if states is None else states

    def release(self) -> None:
        """What was in its pages is zero afterwards, where the system can do it."""
        self.memory.release()
