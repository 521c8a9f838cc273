"""RWKV 6 "Finch" (Peng et al. 2024, arXiv 2404.05892): no attention.

Every layer mixes in time and then in channels; both look at the row before. Layer norms. Every few layers the residual
stream is halved, as the converter has done with the weights that write into it.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Linear, Mix, Node, Shift, Wkv6
from llamachat.engine.models import rwkv
from llamachat.engine.models.params import key
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class Rwkv6Params(rwkv.TimeMixing):
    """Hyperparameters of the `rwkv6` architecture."""

    n_extra: int = key("time_mix_extra_dim")
    n_decay: int = key("time_decay_extra_dim")
    rescale_every: int = key("rescale_every_n_layers", 0, low=0)


TENSORS: Final = f"""
{rwkv.ENDS}{rwkv.LAYER}
blk.*.time_mix_w1.weight            5*n_extra n_embd
blk.*.time_mix_w2.weight            5 n_embd n_extra
blk.*.time_mix_lerp_x.weight        n_embd
blk.*.time_mix_lerp_fused.weight?   5 1 1 n_embd
blk.*.time_mix_lerp_w.weight?       n_embd
blk.*.time_mix_lerp_k.weight?       n_embd
blk.*.time_mix_lerp_v.weight?       n_embd
blk.*.time_mix_lerp_r.weight?       n_embd
blk.*.time_mix_lerp_g.weight?       n_embd
blk.*.time_mix_first.weight         n_embd/head_dim head_dim
blk.*.time_mix_decay.weight         n_embd
blk.*.time_mix_decay_w1.weight      n_decay n_embd
blk.*.time_mix_decay_w2.weight      n_embd n_decay
blk.*.time_mix_gate.weight          n_embd n_embd
blk.*.time_mix_ln.weight            n_embd
blk.*.time_mix_ln.bias              n_embd
blk.*.channel_mix_lerp_r.weight     n_embd
blk.*.channel_mix_receptance.weight n_embd n_embd
"""


def forward(g: Graph, p: Rwkv6Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    x = g.layer_norm(g.embed(w.token_embd), w.token_embd_norm, p.norm_eps)
    for layer, b in enumerate(w.blk):
        x = g.add(x, time_mixing(g, p, b, g.layer_norm(x, b.attn_norm, p.norm_eps), layer))
        x = g.add(x, channel_mixing(g, b, g.layer_norm(x, b.attn_norm_2, p.norm_eps), layer))
        if p.rescale_every and (layer + 1) % p.rescale_every == 0:
            x = g.scale(x, 0.5)
    return g.linear(g.layer_norm(x, w.output_norm, p.norm_eps), w.output)


def time_mixing(g: Graph, p: Rwkv6Params, b: Weights, x: Node, layer: int) -> Node:
    """x, normed, mixed with the row before in five ways that depend on x, through the recurrence."""
    before = g.append(Shift(x.width, x, layer, "time shift"))
    h = g.unary(g.linear(rwkv.mix(g, x, before, b.time_mix_lerp_x), b.time_mix_w1), "tanh")
    mixed: list[Node] = []
    for i, name in enumerate("wkvrg"):
        more = g.append(Linear(x.width, g.columns(h, i * p.n_extra, p.n_extra), b.time_mix_w2.weight, None, part=i))
        if b.has("time_mix_lerp_fused"):
            share, row = b.time_mix_lerp_fused, i
        else:
            share, row = rwkv.needed(b, layer, f"time_mix_lerp_{name}"), 0
        mixed.append(g.append(Mix(x.width, x, before, share.weight, row, more)))
    w, k, v, r, gate = mixed
    w = g.unary(g.linear(w, b.time_mix_decay_w1), "tanh")
    w = rwkv.linear_plus(g, w, b.time_mix_decay_w2, b.time_mix_decay)
    r, k, v = g.linear(r, b.time_mix_receptance), g.linear(k, b.time_mix_key), g.linear(v, b.time_mix_value)
    norm = b.time_mix_ln.weight, b.time_mix_ln.bias, rwkv.HEAD_EPS
    y = g.append(Wkv6(x.width, r, w, k, v, p.head_dim, *norm, layer, b.time_mix_first.weight))
    return g.linear(g.glu(g.linear(gate, b.time_mix_gate), y, "silu"), b.time_mix_output)


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
