"""Attention: keys and values into the cache, then consecutive tokens together, or every token on its own."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.attention import Attention, AttentionMerge, AttentionParts
from llamachat.engine.backend.cpu.kernels.attention_item import NO_WINDOW, Heads, part_bytes, query_rows
from llamachat.engine.backend.cpu.kernels.cache import StoreKeys, StoreValues
from llamachat.engine.backend.cpu.kernels.cache_formats import CHUNK
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower
from llamachat.engine.backend.cpu.program import Arguments, Region

# Query rows of an item of attention: enough for every instruction set's register block.
QUERY_ROWS = 12


@lower.register
def lower_attention(node: g.Attention, to: Lowering) -> None:
    """Stores, then attends."""
    to.for_every_token(node)
    cache, places = to.cache.shape, to.cache.layers[node.layer]
    cached: Arguments = {**places.place, "cache": Region(0, no_address=True)}
    for store, x, dim, at, name in (
        (StoreKeys, node.k, node.head_dim, places.keys, cache.type_k),
        (StoreValues, node.v, node.value_dim, places.values, cache.type_v),
    ):
        arguments: Arguments = {"x": to.regions[x], "at": at, **cached, "stride": to.stride(x.width)}
        to.launch(store(dim, name), arguments)
    heads = Heads(node.head_dim, node.value_dim, node.n_head // node.n_head_kv, cache.type_k, cache.type_v)
    to.value(node)
    read: Arguments = {"q": to.regions[node.q], **cached, "q_stride": to.stride(node.q.width)}
    read |= {"keys": places.keys, "values": places.values, "window": node.window or NO_WINDOW, "scale": node.scale}
    (_contiguous if to.shape.contiguous else _apart)(node, to, heads, read)


def _contiguous(node: g.Attention, to: Lowering, heads: Heads, read: Arguments) -> None:
    """Neighbouring tokens share what they read of the cache."""
    spec = Attention(heads, max(1, QUERY_ROWS // heads.n_group), query_rows(heads, to.isa))
    scratch = Region(spec.scratch_bytes * to.shape.n_threads, private=True)
    y: Arguments = {"y": to.regions[node], "y_stride": to.stride(node.width)}
    to.launch(spec, {**read, **y, "scratch": scratch, "room": spec.scratch_bytes})


def _apart(node: g.Attention, to: Lowering, heads: Heads, read: Arguments) -> None:
    """Every token on its own: threads share the chunks of the cache."""
    spec = AttentionParts(heads, query_rows(heads, to.isa))
    part_room = part_bytes(heads.value_dim) * node.n_head * (to.cache.shape.n_ctx // CHUNK)
    parts = Region(part_room * to.shape.max_tokens)
    scratch = Region(spec.scratch_bytes * to.shape.n_threads, private=True)
    given: Arguments = {"parts": parts, "part_room": part_room}
    to.launch(spec, {**read, "scratch": scratch, "room": spec.scratch_bytes, **given})
    merged: Arguments = {"y": to.regions[node], "stride": to.stride(node.width), "n_head": node.n_head}
    to.launch(AttentionMerge(heads.value_dim), {**merged, **given, "window": read["window"]})
