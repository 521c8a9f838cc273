"""Attention in texts: keys are grouped, then rows attend."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.bias_tables import NO_BIAS
from llamachat.engine.backend.cpu.kernels.norm import LANES
from llamachat.engine.backend.cpu.kernels.text_attention import QUERIES, GroupKeys, TextAttention
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower
from llamachat.engine.backend.cpu.program import Arguments, Region


@lower.register
def lower_text_attention(node: g.TextAttention, to: Lowering) -> None:
    """Tokens may be of several texts; rows with a number of their own are one."""
    packed, most = node.rows == g.TOKENS, -(-to.most_rows(node) // LANES) * LANES
    if packed:
        to.for_every_token(node)
    n_places = 2 * most if packed else most
    head_bytes, count = 4 * node.head_dim * n_places, to.count_of(node)
    keys = Region(head_bytes * node.n_head_kv)
    grouped: Arguments = {"x": to.regions[node.k], "y": keys, "stride": to.stride(node.k.width), "count": count}
    to.launch(GroupKeys(node.head_dim, packed), {**grouped, "n_head": node.n_head_kv, "head_bytes": head_bytes})
    room = 4 * QUERIES * most
    arguments: Arguments = {"q": to.regions[node.q], "keys": keys, "v": to.regions[node.v], "y": to.value(node)}
    arguments |= {"q_stride": to.stride(node.q.width), "v_stride": to.stride(node.v.width)}
    arguments |= {"y_stride": to.stride(node.width), "count": count, "n_head": node.n_head, "head_bytes": head_bytes}
    table = to.biases.table(node.bias, most) if node.bias is not None else NO_BIAS
    arguments |= {"scale": node.scale, "room": room}
    arguments |= {"bias": table.address, "bias_bytes": table.row_bytes, "bias_zero": table.zero}
    scratch = Region(room * to.shape.n_threads, private=True)
    spec = TextAttention(node.head_dim, node.value_dim, node.n_head // node.n_head_kv, packed, node.bias is not None)
    to.launch(spec, {**arguments, "scratch": scratch})
