"""RWKV 7 "Goose" (Peng et al. 2025, arXiv 2503.14456): no attention.

Every layer mixes in time and then in channels; both look at the row before. From the second layer on values lean
towards those of the first one. Layer norms.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Mix, Node, Shift, Wkv7
from llamachat.engine.models import rwkv
from llamachat.engine.models.params import key
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class Rwkv7Params(rwkv.TimeMixing):
    """Hyperparameters of the `rwkv7` architecture: ranks of small products."""

    n_decay: int = key("attention.decay_lora_rank")
    n_rate: int = key("attention.iclr_lora_rank")
    n_value: int = key("attention.value_residual_mix_lora_rank")
    n_gate: int = key("attention.gate_lora_rank")


TENSORS: Final = f"""
{rwkv.ENDS}{rwkv.LAYER}
blk.*.time_mix_w0.weight            n_embd
blk.*.time_mix_w1.weight            n_decay n_embd
blk.*.time_mix_w2.weight            n_embd n_decay
blk.*.time_mix_a0.weight            n_embd
blk.*.time_mix_a1.weight            n_rate n_embd
blk.*.time_mix_a2.weight            n_embd n_rate
blk.*.time_mix_g1.weight            n_gate n_embd
blk.*.time_mix_g2.weight            n_embd n_gate
blk.*.time_mix_lerp_fused.weight    6 1 1 n_embd
blk.*.time_mix_k_k.weight           n_embd
blk.*.time_mix_k_a.weight           n_embd
blk.*.time_mix_r_k.weight           n_embd
blk.*.time_mix_ln.weight            n_embd
blk.*.time_mix_ln.bias              n_embd
[layer == 0]                                                  # has no effect there; some files have another rank
blk.*.time_mix_v0.weight?           n_embd
blk.*.time_mix_v1.weight?           n_value n_embd
blk.*.time_mix_v2.weight?           n_embd n_value
[layer > 0]
blk.*.time_mix_v0.weight            n_embd
blk.*.time_mix_v1.weight            n_value n_embd
blk.*.time_mix_v2.weight            n_embd n_value
"""


def forward(g: Graph, p: Rwkv7Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    x = g.layer_norm(g.embed(w.token_embd), w.token_embd_norm, p.norm_eps)
    first: Node | None = None
    for layer, b in enumerate(w.blk):
        h, first = time_mixing(g, p, b, g.layer_norm(x, b.attn_norm, p.norm_eps), layer, first)
        x = g.add(x, h)
        h = g.layer_norm(x, b.attn_norm_2, p.norm_eps)
        h = rwkv.mix(g, h, g.append(Shift(h.width, h, layer, "channel shift")), b.channel_mix_lerp_k)
        x = g.add(x, g.linear(g.unary(g.linear(h, b.channel_mix_key), "relu2"), b.channel_mix_value))
    return g.linear(g.layer_norm(x, w.output_norm, p.norm_eps), w.output)


def time_mixing(g: Graph, p: Rwkv7Params, b: Weights, x: Node, layer: int, first: Node | None) -> tuple[Node, Node]:
    """x, normed, mixed with the row before in six ways, through the recurrence; and the values of the first layer."""
    before = g.append(Shift(x.width, x, layer, "time shift"))
    fused = b.time_mix_lerp_fused.weight
    mixed: list[Node] = [g.append(Mix(x.width, x, before, fused, i)) for i in range(6)]
    r, w, k, v, rate, gate = mixed
    lean = rwkv.linear_plus(g, g.linear(v, b.time_mix_v1), b.time_mix_v2, b.time_mix_v0) if first else None
    r, k, v = g.linear(r, b.time_mix_receptance), g.linear(k, b.time_mix_key), g.linear(v, b.time_mix_value)
    w = rwkv.linear_plus(g, g.unary(g.linear(w, b.time_mix_w1), "tanh"), b.time_mix_w2, b.time_mix_w0)
    rate = rwkv.linear_plus(g, g.linear(rate, b.time_mix_a1), b.time_mix_a2, b.time_mix_a0)
    if first is None or lean is None:
        first = v
    else:
        v = g.append(Mix(x.width, v, first, None, more=g.unary(lean, "sigmoid")))
    norm = b.time_mix_ln.weight, b.time_mix_ln.bias, rwkv.HEAD_EPS
    own = b.time_mix_k_k.weight, b.time_mix_k_a.weight, b.time_mix_r_k.weight
    y = g.append(Wkv7(x.width, r, w, k, v, p.head_dim, *norm, layer, rate, *own))
    gate = g.linear(g.unary(g.linear(gate, b.time_mix_g1), "sigmoid"), b.time_mix_g2)
    return g.linear(g.mul(y, gate), b.time_mix_output), first


ARCHITECTURE: Final = Architecture(
    {"rwkv7": "RWKV 7 World and G1 0.1B to 13B"},
    Rwkv7Params,
    TENSORS,
    forward,
    without_effect=rwkv.WITHOUT_EFFECT,
)
