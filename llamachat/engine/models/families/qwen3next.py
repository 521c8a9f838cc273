"""Qwen 3 Next (Qwen Team 2025): gated delta nets and gated attention, see `delta_net`, and a mixture as in `qwen35moe`.

Groups of heads have their steps and rates side by side; older files have queries, keys, values and gates so, too.
"""

from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import delta_net, mixture, parts
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights

TENSORS: Final = f"""
{parts.EMBEDDING}{delta_net.LAYERS}
[recurs == 1]
blk.*.attn_qkv.weight?              2*n_group*n_state+n_inner n_embd
blk.*.attn_gate.weight?             n_inner n_embd
blk.*.ssm_in.weight?                2*n_group*n_state+2*n_inner n_embd
blk.*.ssm_ba.weight                 2*n_heads n_embd
[]
{mixture.ROUTER}{mixture.EXPERTS}{mixture.SHARED_EXPERT}
blk.*.ffn_gate_inp_shexp.weight    1 n_embd
"""


def forward(g: Graph, p: delta_net.DeltaNetExperts, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    routing = p.routing(normalised=True)
    return delta_net.forward(
        g,
        p,
        w,
        lambda b, x: mixture.feed_forward(g, b, x, routing),
        lambda b, x, layer: delta_net.delta_net(g, p, b, grouped(g, p, b, x, layer), layer, repeats=True),
    )


def grouped(g: Graph, p: delta_net.DeltaNetExperts, b: Weights, x: Node, layer: int) -> delta_net.Read:
    """What a delta rule reads, out of groups."""
    rates, n = g.linear(x, b.ssm_ba), p.n_heads // p.n_group
    beta, alpha = g.columns(rates, 0, n, 2 * n), g.columns(rates, n, n, 2 * n)
    if not b.has("ssm_in"):
        parts.needed(b, layer, "attn_qkv", "attn_gate")
        return delta_net.Read(g.linear(x, b.attn_qkv), g.linear(x, b.attn_gate), alpha, beta)
    every, values = g.linear(x, b.ssm_in), p.n_inner // p.n_group
    size = 2 * (p.n_state + values)
    q, k = (g.columns(every, first, p.n_state, size) for first in (0, p.n_state))
    v, gate = (g.columns(every, 2 * p.n_state + first, values, size) for first in (0, values))
    return delta_net.Read(g.concat(g.concat(q, k), v), gate, alpha, beta)


ARCHITECTURE: Final = Architecture(
    {"qwen3next": "Qwen 3 Next 80B-A3B, Qwen3-Coder-Next"},
    delta_net.DeltaNetExperts,
    TENSORS,
    forward,
    without_effect=delta_net.WITHOUT_EFFECT,
)
