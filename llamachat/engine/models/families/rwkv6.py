"""RWKV 6 "Finch" (Peng et al. 2024, arXiv 2404.05892): no attention.

Every layer mixes in time and then in channels; both look at the row before. Layer norms. Every few layers the residual
stream is halved, as the converter has done with the weights that write into it.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node, Shift
from llamachat.engine.models import rwkv
from llamachat.engine.models.params import key
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class Rwkv6Params(rwkv.Mixing6):
    """Hyperparameters of the `rwkv6` architecture."""

    rescale_every: int = key("rescale_every_n_layers", 0, low=0)


TENSORS: Final = f"""
{rwkv.ENDS}{rwkv.LAYER}{rwkv.MIXING_6}
blk.*.time_mix_first.weight         n_embd/head_dim head_dim
blk.*.time_mix_ln.weight            n_embd
blk.*.time_mix_ln.bias              n_embd
blk.*.channel_mix_lerp_r.weight     n_embd
blk.*.channel_mix_receptance.weight n_embd n_embd
"""


def forward(g: Graph, p: Rwkv6Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    x = g.layer_norm(g.embed(w.token_embd), w.token_embd_norm, p.norm_eps)
    for layer, b in enumerate(w.blk):
        x = g.add(x, rwkv.mixing_6(g, p, b, g.layer_norm(x, b.attn_norm, p.norm_eps), layer))
        x = g.add(x, channel_mixing(g, b, g.layer_norm(x, b.attn_norm_2, p.norm_eps), layer))
        if p.rescale_every and (layer + 1) % p.rescale_every == 0:
            x = g.scale(x, 0.5)
    return g.linear(g.layer_norm(x, w.output_norm, p.norm_eps), w.output)


def channel_mixing(g: Graph, b: Weights, x: Node, layer: int) -> Node:
    """x, normed, mixed with the row before, through a squared ReLU, times a gate."""
    before = g.append(Shift(x.width, x, layer, "channel shift"))
    h = g.unary(g.linear(rwkv.mix(g, x, before, b.channel_mix_lerp_k), b.channel_mix_key), "relu2")
    gate = g.linear(rwkv.mix(g, x, before, b.channel_mix_lerp_r), b.channel_mix_receptance)
    return g.glu(gate, g.linear(h, b.channel_mix_value), "sigmoid")


ARCHITECTURE: Final = Architecture(
    {"rwkv6": "RWKV 6 World 1.6B to 14B"},
    Rwkv6Params,
    TENSORS,
    forward,
    without_effect=rwkv.WITHOUT_EFFECT,
)
