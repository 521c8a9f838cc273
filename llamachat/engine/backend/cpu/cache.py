"""The state of one sequence in one piece of memory, in three parts around one place, the first cell.

From there on lie the keys and values of the layers that keep all tokens, CHUNK cells of all of them together
(`kernels/cache.py`). Before it lie recurrent states, before these an encoder's keys and values, and before these, chunk
after chunk towards the beginning of the memory, the rings of the layers with a window (`state/windows.py`). So what a
sequence has used is one stretch around the first cell, wherever it is in memories of different sizes; a row of a step
names the first cell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.engine import BATCH
from llamachat.engine.backend.cpu.kernels.cache_formats import CACHE_FORMATS, CHUNK
from llamachat.engine.backend.cpu.program import ALIGN
from llamachat.engine.backend.interface import LayerSize
from llamachat.engine.graph import RopeSpec
from llamachat.engine.state.cache_types import CacheType
from llamachat.engine.state.spec import EncoderSpec, KeyValueSpec, RecurrentSpec, StateSpec
from llamachat.engine.state.windows import ring_of
from llamachat.errors import Unsupported

LAYOUT_VERSION = 3
"""Counts changes of what lies where in a cache; kept caches of another version are worthless."""


@dataclass(frozen=True)
class CacheShape:
    """How many cells a cache has, a multiple of CHUNK, and the types of its keys and values."""

    n_ctx: int
    type_k: CacheType
    type_v: CacheType

    @classmethod
    def of(cls, n_ctx: int, type_k: CacheType, type_v: CacheType) -> CacheShape:
        """Room for at least n_ctx tokens."""
        return cls(-(-n_ctx // CHUNK) * CHUNK, type_k, type_v)


@dataclass(frozen=True)
class LayerCache:
    """Where a layer's keys and values lie.

    keys, values: those of its first chunk, in bytes from the first cell; row_k, row_v: bytes of a head's row of each;
    value_dim: numbers of a row of values.
    chunk_bytes: from a chunk to the next one. n_chunks: how many there are; the one after them takes the first's place.
    ring: whether the layer has a window, so that these may be fewer than the cache has cells for.
    """

    keys: int
    values: int
    row_k: int
    row_v: int
    value_dim: int
    n_head_kv: int
    chunk_bytes: int
    n_chunks: int
    ring: bool

    @property
    def place(self) -> dict[str, int]:
        """The arguments of `kernels.cache.PLACE`."""
        return {"n_head_kv": self.n_head_kv, "chunk_bytes": self.chunk_bytes, "n_chunks": self.n_chunks}


class CacheLayout:
    """The places of all states in a sequence's memory.

    chunk_bytes, ring_bytes: what CHUNK cells take of all layers that keep all tokens, and of those with a window.
    ring: what the latter keep, however few cells the cache has; None where there are none. state_bytes: what all
    recurrent states take. recurrent: {(layer, name): where the state begins, from the first cell, in bytes}.
    encoder, encoder_bytes: where an encoder's keys and values lie for each layer, its rows in cells; what they take.
    """

    def __init__(self, states: Sequence[StateSpec], shape: CacheShape) -> None:
        self.shape, self.states = shape, states
        self.ring = ring_of(states, BATCH, CHUNK)
        self.recurrent: dict[tuple[int, str], int] = {}
        self.state_bytes = 0
        for one in recurrent(states):
            self.state_bytes += state_bytes([one])
            self.recurrent[one.layer, one.name] = -self.state_bytes
        self.encoder: dict[int, LayerCache] = {}
        self.encoder_bytes = encoder_bytes(states, shape.type_k, shape.type_v)
        at = self._before + (ALIGN if self.encoder_bytes else 0)
        for state in encoders(states):
            n_bytes, n_chunks = sum(self._sizes(state)), -(-state.n_rows // CHUNK)
            self.encoder |= self._placed([state], at, n_bytes, n_chunks)
            at += n_bytes * n_chunks
        self.n_chunks = shape.n_ctx // CHUNK
        self.n_ring_chunks = min(self.n_chunks, self.ring.n_cells // CHUNK) if self.ring else 0
        full = [state for state in key_values(states) if not state.window]
        windowed = [state for state in key_values(states) if state.window]
        self.chunk_bytes, self.ring_bytes = (sum(map(sum, map(self._sizes, some))) for some in (full, windowed))
        self.layers = {
            **self._placed(full, 0, self.chunk_bytes, self.n_chunks),
            **self._placed(windowed, self._before - self.ring_bytes, -self.ring_bytes, self.n_ring_chunks),
        }

    @property
    def description(self) -> str:
        """What there is to know of it: caches with equal descriptions, of one model, mean the same."""
        shape = self.shape
        layers = [(number, place.n_head_kv, place.row_k, place.row_v) for number, place in sorted(self.layers.items())]
        own = f" {self.state_bytes} {sorted(self.recurrent.items())}" if self.recurrent else ""
        own += f" encoder {sorted(self.encoder.items())}" if self.encoder else ""
        if self.ring is not None:
            windowed = [number for number, place in sorted(self.layers.items()) if place.ring]
            own += f" ring {self.ring.n_cells} {self.ring_bytes} {windowed}"
        own += " long" if self._has_long_angles else ""
        return f"{LAYOUT_VERSION} {shape.type_k} {shape.type_v} {CHUNK} {self.chunk_bytes} {layers}{own}"

    def parts(self, n_cells: int) -> list[tuple[int, str]]:
        """What the memory of the first n_cells consists of, in order: bytes, and the type of what is in them.

        The type is "" for nothing, "raw" for recurrent states. Where there are chunks of one kind only, it is what one
        consists of: the memory repeats it.
        """
        full, windowed = (
            [part for layer in self.layers.values() if layer.ring is ring for part in self._parts(layer)]
            for ring in (False, True)
        )
        if not self.ring and not self._before:
            return full
        n_chunks = -(-n_cells // CHUNK)
        states = [(self.state_bytes, "raw")] if self.state_bytes else []
        encoder = [(ALIGN, "raw")] if self.encoder else []
        encoder += [part for layer in self.encoder.values() for part in self._parts(layer) * layer.n_chunks]
        return [*windowed * min(n_chunks, self.n_ring_chunks), *encoder, *states, *full * n_chunks]

    @property
    def n_encoded(self) -> int:
        """Where the number of an encoder's rows lies that are kept, an i64, from the first cell."""
        return self._before

    @property
    def n_bytes(self) -> int:
        """Size of a cache."""
        return self.used_bytes(self.shape.n_ctx)

    def used_bytes(self, n_cells: int) -> int:
        """So much of a sequence's memory holds its fixed states and its first n_cells."""
        n_chunks = -(-n_cells // CHUNK)
        return min(n_chunks, self.n_ring_chunks) * self.ring_bytes - self._before + n_chunks * self.chunk_bytes

    def used(self, memory: Buffer, n_cells: int) -> np.ndarray:
        """The stretch of a sequence's memory with its fixed states and its first n_cells: uint8 [used_bytes]."""
        unused = self.n_ring_chunks - min(-(-n_cells // CHUNK), self.n_ring_chunks)
        start = unused * self.ring_bytes
        return memory.bytes[start : start + self.used_bytes(n_cells)]

    def cells(self, memory: Buffer) -> int:
        """The address of the first cell."""
        return memory.address + self._first_cell

    def states_in(self, memory: Buffer) -> np.ndarray:
        """The recurrent states: uint8 [state_bytes]."""
        return memory.bytes[self._first_cell - self.state_bytes : self._first_cell]

    def state_in(self, memory: Buffer, spec: RecurrentSpec) -> NDArray[np.float32]:
        """One recurrent state: float32 [n_values]."""
        start = self._first_cell + self.recurrent[spec.layer, spec.name]
        found: NDArray[np.float32] = memory.bytes[start : start + 4 * spec.n_values].view(np.float32)
        return found

    def move_values(self, cache: Buffer, sources: np.ndarray, targets: np.ndarray, n_lost: int) -> None:
        """Moves the values of the cells `sources` to the cells `targets`, both int [n], in every layer.

        Of the first n_lost cells nothing is kept in rings.
        """
        for layer in self.layers.values():
            if not layer.value_dim:  # they are numbers of the keys
                continue
            some = sources >= n_lost if layer.ring else np.ones(len(sources), bool)
            (from_chunk, from_cell), (to_chunk, to_cell) = (divmod(cells[some], CHUNK) for cells in (sources, targets))
            for values, order in self._values(cache, layer):
                moved = values[from_chunk % layer.n_chunks, ..., from_cell // 4, :, order[from_cell % 4], :]  # a copy
                values[to_chunk % layer.n_chunks, ..., to_cell // 4, :, order[to_cell % 4], :] = moved

    @property
    def _has_long_angles(self) -> bool:
        """Whether keys are rotated as only contexts of such a size rotate them."""
        rotations = {state.rotation for state in key_values(self.states)}
        long = [one.long_above for one in rotations if isinstance(one, RopeSpec) and one.long_factors is not None]
        return any(self.shape.n_ctx > above for above in long)

    @property
    def _first_cell(self) -> int:
        """Where the first cell is in the memory."""
        return self.n_ring_chunks * self.ring_bytes - self._before

    @property
    def _before(self) -> int:
        """Where the states of fixed size begin, from the first cell."""
        return -self.state_bytes - self.encoder_bytes

    def _values(self, cache: Buffer, layer: LayerCache) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each field uint8 [chunks, n_head_kv, blocks, CHUNK / 4, units, 4, size], a view; and its order of four."""
        first, found = self._first_cell + layer.values, []
        for field in CACHE_FORMATS[self.shape.type_v].value_fields(layer.value_dim):
            inner = field.units, 4, field.size
            shape = (layer.n_chunks, layer.n_head_kv, field.blocks, CHUNK // 4, *inner)
            fours = (field.units * 4 * field.size, 4 * field.size, field.size, 1)
            strides = (layer.chunk_bytes, CHUNK * layer.row_v, field.stride, *fours)
            view = np.ndarray(shape, np.uint8, cache.bytes, first + field.at, strides)
            found.append((view, np.array(field.order)))
        return found

    def _sizes(self, state: KeyValueSpec | EncoderSpec) -> tuple[int, int]:
        """Bytes of CHUNK cells' keys and values."""
        return _chunk_sizes(state, self.shape.type_k, self.shape.type_v)

    def _placed(
        self, states: Sequence[KeyValueSpec | EncoderSpec], first: int, chunk_bytes: int, n_chunks: int
    ) -> dict[int, LayerCache]:
        """The layers that lie together, their first chunk from `first` on."""
        found = {}
        for state in states:
            keys, values = self._sizes(state)
            rows = (*_row_bytes(state, self.shape.type_k, self.shape.type_v), state.value_dim)
            ring = isinstance(state, KeyValueSpec) and bool(state.window)
            found[state.layer] = LayerCache(first, first + keys, *rows, state.n_head, chunk_bytes, n_chunks, ring)
            first += keys + values
        return found

    def _parts(self, layer: LayerCache) -> list[tuple[int, str]]:
        """What a chunk of a layer's cells consists of."""
        found: list[tuple[int, str]] = []
        for row, name in ((layer.row_k, self.shape.type_k), (layer.row_v, self.shape.type_v)):
            used = row * layer.n_head_kv * CHUNK
            found += [(used, name), (-used % ALIGN, "")]
        return [part for part in found if part[0]]


def layer_sizes(states: Sequence[StateSpec], type_k: str, type_v: str) -> tuple[LayerSize, ...]:
    """What a token takes in every layer with keys and values, without the padding of chunks."""
    ring = ring_of(states, BATCH, CHUNK)
    kept = ring.n_cells if ring is not None else 0
    return tuple(
        LayerSize(one.n_head * sum(_row_bytes(one, type_k, type_v)), kept if one.window else 0, one.window)
        for one in key_values(states)
    )


def check_states(states: Sequence[StateSpec]) -> None:
    """Raises Unsupported for a kind of state that has no place in a sequence's memory."""
    for state in states:
        if not isinstance(state, KeyValueSpec | EncoderSpec | RecurrentSpec):
            raise Unsupported(f"the processor's backend does not know the state {type(state).__name__}")


def key_values(states: Sequence[StateSpec]) -> list[KeyValueSpec]:
    """Those states that are keys and values."""
    return [state for state in states if isinstance(state, KeyValueSpec)]


def encoders(states: Sequence[StateSpec]) -> list[EncoderSpec]:
    """Those states that are an encoder's keys and values."""
    return [state for state in states if isinstance(state, EncoderSpec)]


def encoder_bytes(states: Sequence[StateSpec], type_k: str, type_v: str) -> int:
    """Bytes of an encoder's keys and values in all layers, whole chunks of cells, and of how many rows they are."""
    layers = [sum(_chunk_sizes(one, type_k, type_v)) * -(-one.n_rows // CHUNK) for one in encoders(states)]
    return sum(layers) + ALIGN if layers else 0


def recurrent(states: Sequence[StateSpec]) -> list[RecurrentSpec]:
    """Those states that are recurrent."""
    return [state for state in states if isinstance(state, RecurrentSpec)]


def state_bytes(states: Sequence[StateSpec]) -> int:
    """Bytes of the recurrent states of a sequence."""
    return sum(-(-4 * one.n_values // ALIGN) * ALIGN for one in recurrent(states))


def _chunk_sizes(state: KeyValueSpec | EncoderSpec, type_k: str, type_v: str) -> tuple[int, int]:
    """Bytes of CHUNK cells' keys and values, each with its padding."""
    keys, values = (-(-row * state.n_head * CHUNK // ALIGN) * ALIGN for row in _row_bytes(state, type_k, type_v))
    return keys, values


def _row_bytes(state: KeyValueSpec | EncoderSpec, type_k: str, type_v: str) -> tuple[int, int]:
    return CACHE_FORMATS[type_k].row_bytes(state.key_dim), CACHE_FORMATS[type_v].row_bytes(state.value_dim)
