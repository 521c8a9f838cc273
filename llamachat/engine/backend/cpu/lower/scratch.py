"""What the processor's backend needs beside weights and state, for the memory plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.engine import BATCH
from llamachat.engine.backend.cpu.kernels.attention_item import part_bytes
from llamachat.engine.backend.cpu.kernels.cache_formats import CHUNK
from llamachat.engine.backend.cpu.kernels.text_attention import QUERIES


def scratch_bytes(nodes: Sequence[g.Node]) -> int:
    """About what a batch of activations takes: the widest values that live side by side, their panels, logits."""
    sizes: dict[type[g.Node], int] = {}
    for node in nodes[:-1]:
        size = node.width * (node.rows.most or BATCH * node.rows.times)
        sizes[type(node)] = max(size, sizes.get(type(node), 0))
    return 4 * 2 * sum(sizes.values()) + 8 * nodes[-1].width * 4


def scratch_bytes_per_token(nodes: Sequence[g.Node]) -> int:
    """What grows with the context: the largest of what operations need one after the other, and tables they share.

    Where a text must be in one step, all of its activations.
    """
    passing = [PASSING[type(node)](node) for node in nodes if type(node) in PASSING]
    tables = {key: n_bytes for node in nodes if type(node) in TABLES for key, n_bytes in [TABLES[type(node)](node)]}
    whole = scratch_bytes(nodes) // BATCH if any(node.needs_whole for node in nodes) else 0
    return max(passing, default=0) + sum(tables.values()) + whole


PASSING: Final[Mapping[type[g.Node], Callable[[Any], int]]] = {
    g.TextAttention: lambda node: 4 * (2 * node.k.width + 2 * node.v.width + 4 * QUERIES),
    g.LatentAttention: lambda node: -(-part_bytes(node.value_dim) * node.n_head // CHUNK),
    g.Attention: lambda node: -(-part_bytes(node.value_dim) * node.n_head // CHUNK),
}
"""Bytes per token of the context that an operation needs while it is computed: parts of attention, scores."""

TABLES: Final[Mapping[type[g.Node], Callable[[Any], tuple[object, int]]]] = {
    g.Rope: lambda node: (node.spec, 4 * node.spec.n_rot),
}
"""A table that operations share, and its bytes per token of the context: angles of rotation."""
