"""What RWKV's versions share: parameters to inherit, rows of tables, and small blocks."""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Layer, Linear, Mix, Node, Shift, Wkv6, Wkv7
from llamachat.engine.models import parts
from llamachat.engine.models.base import Decoder
from llamachat.engine.models.params import key, require
from llamachat.engine.models.tensors import Weights

MAX_HEAD: Final = 256
"""Dimensions of a head; kernels have room for so many."""

HEAD_EPS: Final = 64e-5
"""Of the norm over each head, in all files."""

ENDS: Final = """
token_embd.weight                   n_vocab n_embd
token_embd_norm.weight              n_embd
token_embd_norm.bias                n_embd
output_norm.weight                  n_embd
output_norm.bias                    n_embd
output.weight                       n_vocab n_embd
"""

PROJECTIONS: Final = """
blk.*.time_mix_receptance.weight    n_embd n_embd
blk.*.time_mix_key.weight           n_embd n_embd
blk.*.time_mix_value.weight         n_embd n_embd
blk.*.time_mix_output.weight        n_embd n_embd
"""

LAYER: Final = f"""
{PROJECTIONS}
blk.*.attn_norm.weight              n_embd
blk.*.attn_norm.bias                n_embd
blk.*.attn_norm_2.weight            n_embd
blk.*.attn_norm_2.bias              n_embd
blk.*.channel_mix_lerp_k.weight     n_embd
blk.*.channel_mix_key.weight        n_ff n_embd
blk.*.channel_mix_value.weight      n_embd n_ff
"""

MIXING_6: Final = """
blk.*.time_mix_w1.weight            5*n_extra n_embd
blk.*.time_mix_w2.weight            5 n_embd n_extra
blk.*.time_mix_lerp_x.weight        n_embd
blk.*.time_mix_lerp_fused.weight?   5 1 1 n_embd
blk.*.time_mix_lerp_w.weight?       n_embd
blk.*.time_mix_lerp_k.weight?       n_embd
blk.*.time_mix_lerp_v.weight?       n_embd
blk.*.time_mix_lerp_r.weight?       n_embd
blk.*.time_mix_lerp_g.weight?       n_embd
blk.*.time_mix_decay.weight         n_embd
blk.*.time_mix_decay_w1.weight      n_decay n_embd
blk.*.time_mix_decay_w2.weight      n_embd n_decay
blk.*.time_mix_gate.weight          n_embd n_embd
"""
"""What `mixing_6` needs beside queries, keys, values and the output, of RWKV 6."""

MIXING_7: Final = """
blk.*.time_mix_w0.weight            n_embd
blk.*.time_mix_w1.weight            n_decay n_embd
blk.*.time_mix_w2.weight            n_embd n_decay
blk.*.time_mix_a0.weight            n_embd
blk.*.time_mix_a1.weight            n_rate n_embd
blk.*.time_mix_a2.weight            n_embd n_rate
blk.*.time_mix_k_k.weight           n_embd
blk.*.time_mix_k_a.weight           n_embd
blk.*.time_mix_r_k.weight           n_embd
[layer == 0]                                                  # without effect: copies of a0, a1 and a2
blk.*.time_mix_v0.weight?           n_embd
blk.*.time_mix_v1.weight?           n_rate n_embd
blk.*.time_mix_v2.weight?           n_embd n_rate
[layer > 0]
blk.*.time_mix_v0.weight            n_embd
blk.*.time_mix_v1.weight            n_value n_embd
blk.*.time_mix_v2.weight            n_embd n_value
[]
"""
"""The same of `mixing_7`, of RWKV 7."""

WITHOUT_EFFECT: Final = {
    "attention.head_count": "there is no attention",
    "attention.layer_norm_rms_epsilon": "all norms are layer norms",
}


@dataclass(frozen=True)
class TimeMixing(Decoder):
    """Heads of head_dim keys and values."""

    norm_eps: float = key("attention.layer_norm_epsilon", high=1.0)
    head_dim: int = key("wkv.head_size", high=MAX_HEAD)
    n_shifts: int = key("token_shift_count", 2, only=(2,))

    def __post_init__(self) -> None:
        """Also raises ModelFileError for heads that do not fill the residual stream."""
        super().__post_init__()
        sentence = f"is {self.head_dim}, which does not divide embedding_length {self.n_embd}"
        require(self.n_embd % self.head_dim == 0, sentence, "wkv.head_size")


@dataclass(frozen=True)
class Mixing6(TimeMixing):
    """Ranks of the small products of RWKV 6."""

    n_extra: int = key("time_mix_extra_dim")
    n_decay: int = key("time_decay_extra_dim")


@dataclass(frozen=True)
class Mixing7(TimeMixing):
    """Ranks of the small products of RWKV 7."""

    n_decay: int = key("attention.decay_lora_rank")
    n_rate: int = key("attention.iclr_lora_rank")
    n_value: int = key("attention.value_residual_mix_lora_rank")
    n_gate: int = key("attention.gate_lora_rank", 0, low=0)


def mix(g: Graph, x: Node, before: Node, share: Layer) -> Node:
    """x + (before - x) * share."""
    return g.append(Mix(x.width, x, before, share.weight))


def linear_plus(g: Graph, x: Node, matrix: Layer, vector: Layer) -> Node:
    """x W^T + a vector that has a name of its own."""
    return g.append(Linear(matrix.weight.shape[0], x, matrix.weight, vector.weight))


def mixing_6(g: Graph, p: Mixing6, b: Weights, x: Node, layer: int, n_head_kv: int = 0) -> Node:
    """x, normed, mixed with the row before in five ways that depend on x, through the recurrence of RWKV 6.

    Without `time_mix_first` it is gated linear attention, and the gate a sigmoid. n_head_kv: heads of keys and values,
    if there are fewer of them.
    """
    before = g.append(Shift(x.width, x, layer, "time shift"))
    h = g.unary(g.linear(mix(g, x, before, b.time_mix_lerp_x), b.time_mix_w1), "tanh")
    mixed: list[Node] = []
    for i, name in enumerate("wkvrg"):
        more = g.append(Linear(x.width, g.columns(h, i * p.n_extra, p.n_extra), b.time_mix_w2.weight, None, part=i))
        if b.has("time_mix_lerp_fused"):
            share, row = b.time_mix_lerp_fused, i
        else:
            parts.needed(b, layer, f"time_mix_lerp_{name}")
            share, row = getattr(b, f"time_mix_lerp_{name}"), 0
        mixed.append(g.append(Mix(x.width, x, before, share.weight, row, more)))
    w, k, v, r, gate = mixed
    w = linear_plus(g, g.unary(g.linear(w, b.time_mix_decay_w1), "tanh"), b.time_mix_decay_w2, b.time_mix_decay)
    r, k, v = g.linear(r, b.time_mix_receptance), g.linear(k, b.time_mix_key), g.linear(v, b.time_mix_value)
    if n_head_kv:
        k, v = (repeated(g, z, n_head_kv, x.width // z.width) for z in (k, v))
    if b.has("time_mix_first"):
        own = b.time_mix_ln.weight, b.time_mix_ln.bias, HEAD_EPS, layer, b.time_mix_first.weight
        y: Node = g.append(Wkv6(x.width, r, w, k, v, p.head_dim, *own))
    else:
        y = g.append(Wkv6(x.width, r, w, k, v, p.head_dim, None, None, HEAD_EPS, layer, None, p.head_dim**-0.5))
    gated = g.glu(g.linear(gate, b.time_mix_gate), y, "silu" if b.has("time_mix_first") else "sigmoid")
    return g.linear(gated, b.time_mix_output)


def repeated(g: Graph, x: Node, n_heads: int, times: int) -> Node:
    """Every head of x so many times, side by side."""
    y = x
    for _ in range(times - 1):
        y = g.concat(y, x, n_heads)
    return y


def mixing_7(g: Graph, p: Mixing7, b: Weights, x: Node, layer: int, first: Node | None) -> tuple[Node, Node]:
    """x, normed, mixed with the row before in six ways, through the recurrence of RWKV 7; and the first layer's values.

    first: these, None in the first layer. Gate and norm are there where the table and the file have them.
    """
    before = g.append(Shift(x.width, x, layer, "time shift"))
    fused = b.time_mix_lerp_fused.weight
    mixed: list[Node] = [g.append(Mix(x.width, x, before, fused, i)) for i in range(6 if b.has("time_mix_g1") else 5)]
    r, w, k, v, rate = mixed[:5]
    lean = linear_plus(g, g.linear(v, b.time_mix_v1), b.time_mix_v2, b.time_mix_v0) if first else None
    r, k, v = g.linear(r, b.time_mix_receptance), g.linear(k, b.time_mix_key), g.linear(v, b.time_mix_value)
    w = linear_plus(g, g.unary(g.linear(w, b.time_mix_w1), "tanh"), b.time_mix_w2, b.time_mix_w0)
    rate = linear_plus(g, g.linear(rate, b.time_mix_a1), b.time_mix_a2, b.time_mix_a0)
    if first is None or lean is None:
        first = v
    else:
        v = g.append(Mix(x.width, v, first, None, more=g.unary(lean, "sigmoid")))
    norm: Layer | None = b.time_mix_ln
    weight, bias = (norm.weight, norm.bias) if norm is not None else (None, None)
    own = b.time_mix_k_k.weight, b.time_mix_k_a.weight, b.time_mix_r_k.weight
    y: Node = g.append(Wkv7(x.width, r, w, k, v, p.head_dim, weight, bias, HEAD_EPS, layer, rate, *own))
    if b.has("time_mix_g1"):
        y = g.mul(y, g.linear(g.unary(g.linear(mixed[5], b.time_mix_g1), "sigmoid"), b.time_mix_g2))
    return g.linear(y, b.time_mix_output), first
