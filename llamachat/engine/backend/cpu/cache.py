"""The state of one sequence in one piece of memory: recurrent states, then the cache of keys and values of every layer.

CHUNK cells of all layers lie together (`kernels/cache.py`), so that what a sequence has used of its memory is one
stretch from its beginning. A row of a step names the first cell: recurrent states lie before it, at negative offsets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.kernels.cache import CHUNK
from llamachat.engine.backend.cpu.kernels.cache_formats import CACHE_FORMATS
from llamachat.engine.backend.cpu.program import ALIGN
from llamachat.engine.state.cache_types import CacheType, check_cache_types
from llamachat.engine.state.spec import KeyValueSpec, RecurrentSpec, StateSpec

LAYOUT_VERSION = 2
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
    """Where a layer's keys and values begin in a chunk, in bytes, and what one head's row of each takes."""

    keys: int
    values: int
    row_k: int
    row_v: int
    n_head_kv: int


class CacheLayout:
    """The places of all states in a sequence's memory.

    chunk_bytes: what CHUNK cells take. state_bytes: what all recurrent states take. recurrent: {(layer, name): where
    the state begins, from the first cell, in bytes}.
    """

    def __init__(self, states: Sequence[StateSpec], shape: CacheShape) -> None:
        self.shape, self.states = shape, states
        self.layers: dict[int, LayerCache] = {}
        self.chunk_bytes = 0
        for state in key_values(states):
            row_k, row_v = _row_bytes(state, shape.type_k, shape.type_v)
            keys, values = (self._take(row * state.n_head * CHUNK) for row in (row_k, row_v))
            self.layers[state.layer] = LayerCache(keys, values, row_k, row_v, state.n_head)
        self.recurrent: dict[tuple[int, str], int] = {}
        self.state_bytes = 0
        for one in recurrent(states):
            self.state_bytes += state_bytes([one])
            self.recurrent[one.layer, one.name] = -self.state_bytes

    @property
    def description(self) -> str:
        """What there is to know of it: caches with equal descriptions, of one model, mean the same."""
        shape = self.shape
        layers = [(number, place.n_head_kv, place.row_k, place.row_v) for number, place in self.layers.items()]
        own = f" {self.state_bytes} {sorted(self.recurrent.items())}" if self.recurrent else ""
        return f"{LAYOUT_VERSION} {shape.type_k} {shape.type_v} {CHUNK} {self.chunk_bytes} {layers}{own}"

    @property
    def parts(self) -> list[tuple[int, str]]:
        """What a chunk of cells consists of, in order: bytes, and the type of what is in them, "" for nothing."""
        found: list[tuple[int, str]] = []
        for layer in self.layers.values():
            for row, name in ((layer.row_k, self.shape.type_k), (layer.row_v, self.shape.type_v)):
                used = row * layer.n_head_kv * CHUNK
                found += [(used, name), (-used % ALIGN, "")]
        return [part for part in found if part[0]]

    @property
    def n_bytes(self) -> int:
        """Size of a cache."""
        return self.used_bytes(self.shape.n_ctx)

    def used_bytes(self, n_cells: int) -> int:
        """So much of a sequence's memory holds its recurrent states and its first n_cells."""
        return self.state_bytes + -(-n_cells // CHUNK) * self.chunk_bytes

    def cells(self, memory: Buffer) -> int:
        """The address of the first cell."""
        return memory.address + self.state_bytes

    def states_in(self, memory: Buffer) -> np.ndarray:
        """The recurrent states: uint8 [state_bytes]."""
        return memory.bytes[: self.state_bytes]

    def copy(self, source: Buffer, to: Buffer, n_cells: int) -> None:
        """Copies the recurrent states and the first n_cells of every layer."""
        n_bytes = self.used_bytes(n_cells)
        np.copyto(to.bytes[:n_bytes], source.bytes[:n_bytes])

    def move_values(self, cache: Buffer, first: int, last: int, to: int) -> None:
        """Moves the values of the cells first .. last - 1 to the cells from `to` on, in every layer."""
        sources, targets = np.arange(first, last), np.arange(to, to + last - first)
        for layer in self.layers.values():
            values = self._values(cache, layer)
            values[targets // CHUNK, :, targets % CHUNK] = values[sources // CHUNK, :, sources % CHUNK]

    def _values(self, cache: Buffer, layer: LayerCache) -> np.ndarray:
        """uint8 [chunks, n_head_kv, CHUNK, row]."""
        chunks = cache.view(np.uint8, (self.shape.n_ctx // CHUNK, self.chunk_bytes), self.state_bytes)
        rows = chunks[:, layer.values : layer.values + layer.n_head_kv * CHUNK * layer.row_v]
        return rows.reshape(len(rows), layer.n_head_kv, CHUNK, layer.row_v)

    def _take(self, n_bytes: int) -> int:
        place = self.chunk_bytes
        self.chunk_bytes += -(-n_bytes // ALIGN) * ALIGN
        return place


def cache_bytes_per_token(states: Sequence[StateSpec], type_k: str, type_v: str) -> int:
    """Bytes of keys and values that one token takes in all layers. Raises UsageError for types that do not fit."""
    check_cache_types(states, type_k, type_v)
    return sum(state.n_head * sum(_row_bytes(state, type_k, type_v)) for state in key_values(states))


def key_values(states: Sequence[StateSpec]) -> list[KeyValueSpec]:
    """Those states that are keys and values."""
    return [state for state in states if isinstance(state, KeyValueSpec)]


def recurrent(states: Sequence[StateSpec]) -> list[RecurrentSpec]:
    """Those states that are recurrent."""
    return [state for state in states if isinstance(state, RecurrentSpec)]


def state_bytes(states: Sequence[StateSpec]) -> int:
    """Bytes of the recurrent states of a sequence."""
    return sum(-(-4 * one.n_values // ALIGN) * ALIGN for one in recurrent(states))


def _row_bytes(state: KeyValueSpec, type_k: str, type_v: str) -> tuple[int, int]:
    return CACHE_FORMATS[type_k].row_bytes(state.key_dim), CACHE_FORMATS[type_v].row_bytes(state.value_dim)
