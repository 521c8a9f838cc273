"""`SequenceState`: what one sequence keeps between steps, as everything above a backend sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    import numpy as np

    from llamachat.engine.arrays import NDArray
    from llamachat.engine.state.spec import RecurrentSpec


class SequenceState(Protocol):
    """Keys, values and recurrent states of one sequence, in the memory of the backend that made it.

    A token lies in a cell; cells are numbered from 0. Which cells are in use, and by which tokens, its owner knows;
    also how many of the first ones, n_lost, were overwritten in layers with a window (`Forward.ring`). All
    arrays that go in or out are NumPy's, wherever the state itself lies. Not for two threads at once.
    """

    @property
    def n_bytes(self) -> int:
        """Memory that it may take when every cell is in use."""
        ...

    def used_bytes(self, n_cells: int) -> int:
        """Bytes of its recurrent states and its first n_cells: the size of their snapshot."""
        ...

    def copy(self, source: Self, n_cells: int) -> None:
        """Takes over the recurrent states and the first n_cells of another state of the same `Forward.layout`."""
        ...

    def remove(self, first: int, last: int, n_cells: int, n_lost: int) -> None:
        """K-shift: the cells last .. n_cells - 1 move to the cells from `first` on.

        Their keys are rotated by first - last positions. Only for states that can be shifted (`shift_refusal`).
        """
        ...

    def rotate(self, differences: NDArray[np.int64], n_lost: int) -> None:
        """Rotates the keys of the first n cells by differences [n], positions each, in their cells."""
        ...

    def snapshot(self, n_cells: int) -> NDArray[np.uint8]:
        """The recurrent states and the first n_cells: uint8 [used_bytes(n_cells)], valid until the next evaluation."""
        ...

    def restore(self, n_cells: int, fill: Callable[[NDArray[np.uint8]], None]) -> None:
        """Takes a snapshot back: `fill` writes it into uint8 [used_bytes(n_cells)]. What `fill` raises passes through.

        After an error the state holds nothing that may be read.
        """
        ...

    def recurrent(self) -> NDArray[np.uint8]:
        """The recurrent states, uint8 [n_bytes], valid until the next evaluation; empty where the model has none."""
        ...

    def recurrent_of(self, spec: RecurrentSpec) -> NDArray[np.float32]:
        """A recurrent state, float32 [n_values] as its operation keeps it, valid until the next evaluation."""
        ...

    def set_recurrent(self, states: NDArray[np.uint8] | None) -> None:
        """Restores recurrent states, uint8 [n_bytes], as `recurrent` gave them; None: those of an empty sequence."""
        ...

    def release(self) -> None:
        """Gives its memory back to the system and stays usable: no cell may be read before it is written again."""
        ...
