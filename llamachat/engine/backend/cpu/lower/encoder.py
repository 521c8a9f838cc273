"""Attention in texts: keys are grouped, then rows attend. And to an encoder's rows, which the sequence keeps."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.bias_tables import NO_BIAS
from llamachat.engine.backend.cpu.engine import MAX_TEXTS
from llamachat.engine.backend.cpu.kernels.attention_item import NO_WINDOW, Heads
from llamachat.engine.backend.cpu.kernels.cache import StoreEncoded
from llamachat.engine.backend.cpu.kernels.norm import LANES
from llamachat.engine.backend.cpu.kernels.text_attention import GroupKeys, GroupValues, TextAttention, room_of
from llamachat.engine.backend.cpu.lower.attention import attend_apart
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower
from llamachat.engine.backend.cpu.program import Arguments, Region


def places_of(n_rows: int) -> int:
    """Places for the keys of so many rows of texts, of which each begins with a whole group.

    The worst case is as many texts as there may be, all but one of which end one behind a group.
    """
    worst = min(LANES * n_rows, n_rows + (LANES - 1) * MAX_TEXTS)
    return -(-worst // LANES) * LANES


@lower.register
def lower_text_attention(node: g.TextAttention, to: Lowering) -> None:
    """Tokens may be of several texts; rows with a number of their own are one."""
    packed, most = node.rows == g.TOKENS, -(-to.most_rows(node) // LANES) * LANES
    if packed:
        to.for_every_token(node)
    n_places = places_of(to.most_rows(node)) if packed else most
    count, grouped, sizes = to.count_of(node), [], []
    kinds: list[tuple[type[GroupKeys], g.Node, int]] = [
        (GroupKeys, node.k, node.head_dim),
        (GroupValues, node.v, node.value_dim),
    ]
    for group, x, dim in kinds:
        n_bytes = 4 * dim * n_places
        y = Region(n_bytes * node.n_head_kv)
        place: Arguments = {"x": to.regions[x], "y": y, "stride": to.stride(x.width), "count": count}
        to.launch(group(dim, packed), {**place, "n_head": node.n_head_kv, "head_bytes": n_bytes})
        grouped.append(y)
        sizes.append(n_bytes)
    room = room_of(most)
    arguments: Arguments = {"q": to.regions[node.q], "keys": grouped[0], "values": grouped[1]}
    arguments |= {"y": to.value(node), "q_stride": to.stride(node.q.width), "y_stride": to.stride(node.width)}
    arguments |= {"count": count, "n_head": node.n_head, "head_bytes": sizes[0], "value_bytes": sizes[1]}
    table = to.biases.table(node.bias, most) if node.bias is not None else NO_BIAS
    arguments |= {"scale": node.scale, "room": room}
    arguments |= {"bias": table.address, "bias_bytes": table.row_bytes, "bias_zero": table.zero}
    scratch = Region(room * to.shape.n_threads, private=True)
    spec = TextAttention(node.head_dim, node.value_dim, node.n_head // node.n_head_kv, packed, node.bias is not None)
    to.launch(spec, {**arguments, "scratch": scratch})


@lower.register
def lower_encoded(node: g.Encoded, to: Lowering) -> None:
    """Into the sequence's memory, for all of its tokens; the region stands for that."""
    cache, places = to.cache.shape, to.cache.encoder[node.layer]
    region = to.regions[node] = Region(0, no_address=True)
    common: Arguments = {**places.place, "cache": region, "count": to.count_of(node), "counter": to.cache.n_encoded}
    for x, at, name, is_keys in (
        (node.k, places.keys, cache.type_k, True),
        (node.v, places.values, cache.type_v, False),
    ):
        spec = StoreEncoded(x.width // node.n_head, name, is_keys)
        to.launch(spec, {**common, "x": to.regions[x], "at": at, "stride": to.stride(x.width)})


@lower.register
def lower_cross_attention(node: g.CrossAttention, to: Lowering) -> None:
    """Every token on its own: they are few while a text is long."""
    to.for_every_token(node)
    cache, state = to.cache.shape, node.encoded.state
    places = to.cache.encoder[state.layer]
    heads = Heads(state.key_dim, state.value_dim, node.n_head // state.n_head, cache.type_k, cache.type_v, encoded=True)
    to.value(node)
    region = to.regions.get(node.encoded) or Region(0, no_address=True)
    read: Arguments = {"q": to.regions[node.q], **places.place, "cache": region, "q_stride": to.stride(node.q.width)}
    read |= {"keys": places.keys, "values": places.values, "scale": node.scale, "counter": to.cache.n_encoded}
    read |= {"window": NO_WINDOW, "chunk": NO_WINDOW, "cap": 0.0, "slopes": 0, "sinks": 0}
    read |= {"bias": 0, "bias_bytes": 0, "bias_zero": 0}
    attend_apart(node, to, heads, read, places.n_chunks)
