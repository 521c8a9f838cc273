"""Attention: keys and values into the cache, then consecutive tokens together, or every token on its own."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.bias_tables import NO_BIAS
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.kernels.attention import Attention, AttentionMerge, AttentionParts
from llamachat.engine.backend.cpu.kernels.attention_item import NO_WINDOW, Heads, part_bytes, query_rows
from llamachat.engine.backend.cpu.kernels.cache import StoreKeys, StoreValues
from llamachat.engine.backend.cpu.kernels.cache_formats import CHUNK
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower
from llamachat.engine.backend.cpu.program import Arguments, Region

Attending = g.Attention | g.LatentAttention | g.CrossAttention

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
        if node.stores:
            arguments: Arguments = {"x": to.regions[x], "at": at, **cached, "stride": to.stride(x.width)}
            to.launch(store(dim, name), arguments)
    to.value(node)
    read: Arguments = {"q": to.regions[node.q], **cached, "q_stride": to.stride(node.q.width)}
    read |= {"keys": places.keys, "values": places.values, **_shaping(node, to)}
    attend(node, to, _heads(node, to), read)


def tokens_of_item(heads: Heads, isa: Generic) -> int:
    """Neighbouring tokens of an item of attention."""
    return max(1, QUERY_ROWS // heads.n_group)


def attend(node: Attending, to: Lowering, heads: Heads, read: Arguments) -> None:
    """What comes out of queries and the cache. read: the arguments of `Attention` but those of outputs and scratch."""
    if to.shape.contiguous:
        _contiguous(node, to, heads, read)
    else:
        attend_apart(node, to, heads, read, to.cache.shape.n_ctx // CHUNK)


def _heads(node: g.Attention, to: Lowering) -> Heads:
    """What code is written out for. Layers without chunks share the code of those that have them."""
    cache, size = to.cache.shape, (node.head_dim, node.value_dim, node.n_head // node.n_head_kv)
    has_chunks = any(isinstance(one, g.Attention) and one.chunk for one in to.plan.nodes)
    special = bool(node.soft_cap), bool(node.slopes), has_chunks, node.bias is not None
    return Heads(*size, cache.type_k, cache.type_v, *special)


def _shaping(node: g.Attention, to: Lowering) -> Arguments:
    """The arguments of `SHAPING`, and the sinks."""
    table = to.biases.table(node.bias, to.cache.shape.n_ctx) if node.bias is not None else NO_BIAS
    return {
        "scale": node.scale,
        "window": node.window or NO_WINDOW,
        "chunk": node.chunk or NO_WINDOW,
        "cap": node.soft_cap,
        "slopes": to.tables.constants(node.slopes) if node.slopes else 0,
        "sinks": to.weights.vector(node.sinks.name) if node.sinks is not None else 0,
        "bias": table.address,
        "bias_bytes": table.row_bytes,
        "bias_zero": table.zero,
        "counter": 0,
    }


def _contiguous(node: Attending, to: Lowering, heads: Heads, read: Arguments) -> None:
    """Neighbouring tokens share what they read of the cache."""
    spec = Attention(heads, tokens_of_item(heads, to.isa), query_rows(heads, to.isa), bool(read["sinks"]))
    scratch = Region(spec.scratch_bytes * to.shape.n_threads, private=True)
    y: Arguments = {"y": to.regions[node], "y_stride": to.stride(node.width)}
    to.launch(spec, {**read, **y, "scratch": scratch, "room": spec.scratch_bytes})


def attend_apart(node: Attending, to: Lowering, heads: Heads, read: Arguments, n_chunks: int) -> None:
    """Every token on its own: threads share the chunks, n_chunks at most, of the cache."""
    spec = AttentionParts(heads, query_rows(heads, to.isa))
    part_room = part_bytes(heads.value_dim) * node.n_head * n_chunks
    parts = Region(part_room * to.shape.max_tokens)
    scratch = Region(spec.scratch_bytes * to.shape.n_threads, private=True)
    given: Arguments = {"parts": parts, "part_room": part_room}
    to.launch(spec, {**read, "scratch": scratch, "room": spec.scratch_bytes, **given})
    merged: Arguments = {"y": to.regions[node], "stride": to.stride(node.width), "n_head": node.n_head, **given}
    merged |= {name: read[name] for name in ("window", "chunk", "sinks", "counter")}
    to.launch(AttentionMerge(heads.value_dim, heads.has_chunks, bool(read["sinks"]), heads.encoded), merged)
