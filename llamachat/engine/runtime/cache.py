"""The cache of one sequence: keys and values of every layer in one piece of memory, as `kernels/cache.py` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llamachat.engine import graph as g
from llamachat.engine.kernels.attention_item import CHUNK
from llamachat.engine.kernels.cache_formats import CACHE_FORMATS
from llamachat.engine.kernels.norm import LANES
from llamachat.engine.runtime.buffers import Buffer
from llamachat.engine.runtime.program import ALIGN
from llamachat.errors import UsageError

CACHE_TYPES = tuple(CACHE_FORMATS)


@dataclass(frozen=True)
class CacheShape:
    """How many cells a cache has, a multiple of CHUNK, and the types of its keys and values."""

    n_ctx: int
    type_k: str
    type_v: str

    @classmethod
    def of(cls, n_ctx: int, type_k: str, type_v: str) -> CacheShape:
        """Room for at least n_ctx tokens."""
        return cls(-(-n_ctx // CHUNK) * CHUNK, type_k, type_v)


@dataclass(frozen=True)
class LayerCache:
    """Where a layer's keys and values begin, in bytes, and what one head's row of each takes."""

    keys: int
    values: int
    row_k: int
    row_v: int
    n_head_kv: int


class CacheLayout:
    """The places of all layers in a cache."""

    def __init__(self, nodes: Sequence[g.Node], shape: CacheShape) -> None:
        self.shape = shape
        self.layers: dict[int, LayerCache] = {}
        self.n_bytes = 0
        for node in _attentions(nodes):
            row_k, row_v = (_row_bytes(node, name) for name in (shape.type_k, shape.type_v))
            keys, values = (self._take(row * node.n_head_kv * shape.n_ctx) for row in (row_k, row_v))
            self.layers[node.layer] = LayerCache(keys, values, row_k, row_v, node.n_head_kv)

    def copy(self, source: Buffer, to: Buffer, n_cells: int) -> None:
        """Copies the first n_cells of every layer."""
        groups = -(-n_cells // LANES)
        for layer in self.layers.values():
            np.copyto(self._keys(to, layer)[:, :groups], self._keys(source, layer)[:, :groups])
            np.copyto(self._values(to, layer)[:, :n_cells], self._values(source, layer)[:, :n_cells])

    def move_values(self, cache: Buffer, first: int, last: int, to: int) -> None:
        """Moves the values of the cells first .. last - 1 to the cells from `to` on, in every layer."""
        for layer in self.layers.values():
            values = self._values(cache, layer)
            values[:, to : to + last - first] = values[:, first:last].copy()

    def _keys(self, cache: Buffer, layer: LayerCache) -> np.ndarray:
        shape = (layer.n_head_kv, self.shape.n_ctx // LANES, layer.row_k * LANES)
        return cache.view(np.uint8, shape, layer.keys)

    def _values(self, cache: Buffer, layer: LayerCache) -> np.ndarray:
        return cache.view(np.uint8, (layer.n_head_kv, self.shape.n_ctx, layer.row_v), layer.values)

    def _take(self, n_bytes: int) -> int:
        place = self.n_bytes
        self.n_bytes += -(-n_bytes // ALIGN) * ALIGN
        return place


def cache_bytes_per_token(nodes: Sequence[g.Node], type_k: str, type_v: str) -> int:
    """Bytes of keys and values that one token takes in all layers. Raises UsageError for types that do not fit."""
    check_cache_types(nodes, type_k, type_v)
    return sum(node.n_head_kv * _row_bytes(node, name) for node in _attentions(nodes) for name in (type_k, type_v))


def check_cache_types(nodes: Sequence[g.Node], *names: str) -> None:
    """Raises UsageError for a cache type that is not known, or has blocks that the model's heads do not fill."""
    for name in names:
        if name not in CACHE_FORMATS:
            raise UsageError(f"unknown cache type {name!r}: known are {', '.join(CACHE_TYPES)}")
        block = CACHE_FORMATS[name].block
        for node in _attentions(nodes):
            if node.head_dim % block:
                raise UsageError(
                    f"cache type {name} has blocks of {block} values, which heads of {node.head_dim} do not fill: "
                    "this model's cache can be f32, f16 or bf16"
                )


def _attentions(nodes: Sequence[g.Node]) -> list[g.Attention]:
    return [node for node in nodes if isinstance(node, g.Attention)]


def _row_bytes(node: g.Attention, name: str) -> int:
    return CACHE_FORMATS[name].row_bytes(node.head_dim)
