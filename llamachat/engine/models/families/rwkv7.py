"""RWKV 7 "Goose" (Peng et al. 2025, arXiv 2503.14456): no attention.

Every layer mixes in time and then in channels; both look at the row before. From the second layer on values lean
towards those of the first one. Layer norms.
"""

from typing import Final

from llamachat.engine.graph import Graph, Node, Shift
from llamachat.engine.models import rwkv
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights

TENSORS: Final = f"""
{rwkv.ENDS}{rwkv.LAYER}{rwkv.MIXING_7}
blk.*.time_mix_g1.weight            n_gate n_embd
blk.*.time_mix_g2.weight            n_embd n_gate
blk.*.time_mix_lerp_fused.weight    6 1 1 n_embd
blk.*.time_mix_ln.weight            n_embd
blk.*.time_mix_ln.bias              n_embd
"""


def forward(g: Graph, p: rwkv.Mixing7, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    x = g.layer_norm(g.embed(w.token_embd), w.token_embd_norm, p.norm_eps)
    first: Node | None = None
    for layer, b in enumerate(w.blk):
        h, first = rwkv.mixing_7(g, p, b, g.layer_norm(x, b.attn_norm, p.norm_eps), layer, first)
        x = g.add(x, h)
        h = g.layer_norm(x, b.attn_norm_2, p.norm_eps)
        h = rwkv.mix(g, h, g.append(Shift(h.width, h, layer, "channel shift")), b.channel_mix_lerp_k)
        x = g.add(x, g.linear(g.unary(g.linear(h, b.channel_mix_key), "relu2"), b.channel_mix_value))
    return g.linear(g.layer_norm(x, w.output_norm, p.norm_eps), w.output)


ARCHITECTURE: Final = Architecture(
    {"rwkv7": "RWKV 7 World and G1 0.1B to 13B"},
    rwkv.Mixing7,
    TENSORS,
    forward,
    without_effect=rwkv.WITHOUT_EFFECT,
)
