"""Latent attention: keys into the cache, whose numbers are the values, too; and products of heads."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.attention_item import NO_WINDOW, Heads
from llamachat.engine.backend.cpu.kernels.cache import StoreKeys
from llamachat.engine.backend.cpu.kernels.head_product import HeadProduct
from llamachat.engine.backend.cpu.kernels.rows import ROWS, whole_rows
from llamachat.engine.backend.cpu.lower.attention import attend
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower
from llamachat.engine.backend.cpu.program import Arguments, Region

MOST_TOGETHER = 16
"""Query heads of an item: code is written out for each, and items are what threads share."""


@lower.register
def lower_head_linear(node: g.HeadLinear, to: Lowering) -> None:
    """Head by head, in units of outputs."""
    one = node.matrices
    strides = {"x_stride": to.stride(node.x.width), "y_stride": to.stride(node.width)}
    sizes = {"n_head": one.n_head, "units": whole_rows(one.n_out) // ROWS, "n_in": one.n_in, "n_out": one.n_out}
    places: Arguments = {"x": to.regions[node.x], "w": to.weights.heads(one), "y": to.value(node)}
    to.launch(HeadProduct(), {**places, "count": to.count_of(node), **sizes, **strides})


@lower.register
def lower_latent_attention(node: g.LatentAttention, to: Lowering) -> None:
    """Stores, then attends; some heads at a time read the same keys."""
    to.for_every_token(node)
    cache, places = to.cache.shape, to.cache.layers[node.layer]
    cached: Arguments = {**places.place, "cache": Region(0, no_address=True)}
    stored: Arguments = {"x": to.regions[node.k], "at": places.keys, **cached, "stride": to.stride(node.k.width)}
    to.launch(StoreKeys(node.head_dim, cache.type_k), stored)
    together = next(n for n in range(min(node.n_head, MOST_TOGETHER), 0, -1) if node.n_head % n == 0)
    heads = Heads(node.head_dim, node.value_dim, together, cache.type_k, cache.type_k, latent=True)
    to.value(node)
    read: Arguments = {"q": to.regions[node.q], **cached, "n_head_kv": node.n_head // together}
    read |= {"q_stride": to.stride(node.q.width), "keys": places.keys, "values": places.keys, "scale": node.scale}
    read |= {"window": NO_WINDOW, "chunk": NO_WINDOW, "cap": 0.0, "slopes": 0, "sinks": 0}
    read |= {"bias": 0, "bias_bytes": 0, "bias_zero": 0, "counter": 0}
    attend(node, to, heads, read)
