"""Llama 4 (Meta 2025, model card): Scout and Maverick, text.

Three of four layers norm and turn queries and keys, and see chunks of 8192 tokens; the fourth sees
everything, without positions, with a temperature. The one expert of a token is weighed before it computes.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Mixture, Node, RopeSpec, Routing, ScaleRows, TemperatureSpec
from llamachat.engine.models import mixture, parts
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.params import key
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights

CHUNK: Final = 8192
"""Tokens of a chunk, whatever a file says, unless that is 0: then all layers see everything."""

NOT_NORMED: Final = 128
"""Models with so many experts (Maverick) do not norm queries and keys."""


@dataclass(frozen=True)
class Llama4Params(mixture.Experts, ScaledRotaryHeads):
    """Hyperparameters of the `llama4` architecture."""

    step: int = key("interleave_moe_layer_step")
    window: int = key("attention.sliding_window", CHUNK, low=0)
    period: int = key("attention.sliding_window_pattern", 4)
    scoring: int = key("expert_gating_func", 2, only=(2,))


TENSORS: Final = f"""
{parts.EMBEDDING}
rope_freqs.weight?          n_rot/2
{parts.ANY_ATTENTION}
blk.*.ffn_norm.weight       n_embd
[layer+1%step == 0]
{mixture.ROUTER}{mixture.EXPERTS}
{mixture.SHARED_EXPERT.replace("n_ff_shared", "n_ff_expert")}
[else]
{parts.GATED_FEED_FORWARD}
"""


def attention(g: Graph, p: Llama4Params, b: Weights, x: Node, layer: int, rope: RopeSpec) -> Node:
    """x, normed, through the attention of a layer with or without positions."""
    q, k, v = parts.projections(g, p, b, x)
    heads = {"n_head": p.n_head, "n_head_kv": p.n_head_kv, "scale": p.head_dim**-0.5, "layer": layer}
    if p.window and (layer + 1) % p.period == 0:
        q = g.temperature(q, TemperatureSpec(0.1, CHUNK, 1))
        return g.linear(g.attention(q, k, v, **heads), b.attn_output)
    if p.n_expert != NOT_NORMED:  # before the rotation, which changes no length: so contexts can be shifted
        q, k = (g.rms_norm(one, None, p.norm_eps, p.head_dim) for one in (q, k))
    return g.linear(g.attention(q, k, v, rope=rope, chunk=CHUNK if p.window else 0, **heads), b.attn_output)


def experts(g: Graph, b: Weights, x: Node, routing: Routing) -> Node:
    """What the chosen expert makes of x times its share, and the shared one of x."""
    chosen, share = mixture.route(g, b, g.linear(x, b.ffn_gate_inp), routing)
    weighed = g.append(ScaleRows(x.width, x, share))
    gate, up = (mixture.expert_linear(g, weighed, chosen, one) for one in (b.ffn_gate_exps, b.ffn_up_exps))
    down = mixture.expert_linear(g, g.glu(gate, up, "silu"), chosen, b.ffn_down_exps)
    return g.add(g.append(Mixture(down.width, down, None)), mixture.shared_expert(g, b, x))


def forward(g: Graph, p: Llama4Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope, routing = rope_spec(p, "adjacent", w.rope_freqs), p.routing()
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        h = g.rms_norm(x, b.ffn_norm, p.norm_eps)
        routed = b.has("ffn_gate_inp")
        x = g.add(x, experts(g, b, h, routing) if routed else parts.gated_feed_forward(g, b, h, "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"llama4": "Llama 4 Scout and Maverick"}, Llama4Params, TENSORS, forward, parts.NO_RESULT
)
