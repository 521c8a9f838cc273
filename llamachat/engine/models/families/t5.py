"""T5 and Flan-T5 (Raffel et al. 2020, arXiv 1910.10683): an encoder reads a text, a decoder writes the answer.

RMS norms before each branch, biases of distances in place of positions, scores without 1/sqrt(d). The first layer's
biases serve all layers of its side, unless they have their own. T5 1.0 has ReLU, later ones a gated GELU.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import (
    CrossAttention,
    Encoded,
    Given,
    Graph,
    Layer,
    Node,
    PositionBias,
    Rows,
    TextAttention,
)
from llamachat.engine.models.base import Heads
from llamachat.engine.models.params import key, same_as
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class T5Params(Heads):
    """Hyperparameters of the `t5` architecture."""

    n_decoder: int = key("decoder_block_count", same_as("n_layer"))
    context_length: int = key("context_length", high=8192)
    n_buckets: int = key("attention.relative_buckets_count", low=4, high=4096)
    norm_eps: float = key("attention.layer_norm_rms_epsilon", high=1.0)
    decoder_start: int = key("decoder_start_token_id", 0, low=0)


def layer(side: str) -> str:
    """The rows of a side's layers."""
    return f"""
{side}.blk.*.attn_norm.weight    n_embd
{side}.blk.*.attn_rel_b.weight?  n_buckets n_head
{side}.blk.*.attn_q.weight       n_head*head_dim n_embd
{side}.blk.*.attn_k.weight       n_head_kv*head_dim n_embd
{side}.blk.*.attn_v.weight       n_head_kv*value_dim n_embd
{side}.blk.*.attn_o.weight       n_embd n_head*value_dim
{side}.blk.*.ffn_norm.weight     n_embd
{side}.blk.*.ffn_gate.weight?    n_ff n_embd
{side}.blk.*.ffn_up.weight       n_ff n_embd
{side}.blk.*.ffn_down.weight     n_embd n_ff
"""


TENSORS: Final = f"""
token_embd.weight                n_vocab n_embd
output.weight?                   n_vocab n_embd
enc.output_norm.weight           n_embd
dec.output_norm.weight           n_embd
{layer("enc")}{layer("dec")}
dec.blk.*.cross_attn_norm.weight n_embd
dec.blk.*.cross_attn_rel_b.weight?  n_buckets n_head      # some files have it; cross-attention has no biases
dec.blk.*.cross_attn_q.weight    n_head*head_dim n_embd
dec.blk.*.cross_attn_k.weight    n_head_kv*head_dim n_embd
dec.blk.*.cross_attn_v.weight    n_head_kv*value_dim n_embd
dec.blk.*.cross_attn_o.weight    n_embd n_head*value_dim
"""


def encoder(g: Graph, p: T5Params, w: Weights) -> Node:
    """embeddings [n_tokens, n_embd] of the tokens of a text."""
    return encoded(g, p, w, g.embed(w.token_embd))


def encoded(g: Graph, p: T5Params, w: Weights, x: Node) -> Node:
    """What the encoder makes of embeddings, normed."""
    for b in w.enc_blk:
        q, k, v = projections(g, b, g.rms_norm(x, b.attn_norm, p.norm_eps))
        bias = bias_of(p, b.attn_rel_b or w.enc_blk[0].need("attn_rel_b"), both_ways=True)
        heads = TextAttention(p.n_head * p.value_dim, q, k, v, p.n_head, p.n_head_kv, 1.0, bias)
        x = feed_forward(g, p, b, g.add(x, g.linear(g.append(heads), b.attn_o)), gated(w))
    return g.rms_norm(x, w.enc_output_norm, p.norm_eps)


def forward(g: Graph, p: T5Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab] of the decoder; the encoder's embeddings come with a step."""
    text = encoded(g, p, w, g.append(Given(p.n_embd, "encoder", Rows("encoded", most=p.context_length))))
    x, width = g.embed(w.token_embd), p.n_head * p.value_dim
    for number, b in enumerate(w.dec_blk):
        bias = bias_of(p, b.attn_rel_b or w.dec_blk[0].need("attn_rel_b"), both_ways=False)
        qkv = projections(g, b, g.rms_norm(x, b.attn_norm, p.norm_eps))
        heads = g.attention(*qkv, layer=number, n_head=p.n_head, n_head_kv=p.n_head_kv, scale=1.0, bias=bias)
        x = g.add(x, g.linear(heads, b.attn_o))
        k, v = g.linear(text, b.cross_attn_k), g.linear(text, b.cross_attn_v)
        kept = g.append(Encoded(k.width + v.width, k, v, number, p.n_head_kv))
        q = g.linear(g.rms_norm(x, b.cross_attn_norm, p.norm_eps), b.cross_attn_q)
        x = g.add(x, g.linear(g.append(CrossAttention(width, q, kept, p.n_head, 1.0)), b.cross_attn_o))
        x = feed_forward(g, p, b, x, gated(w))
    return g.linear(g.rms_norm(x, w.dec_output_norm, p.norm_eps), w.output or w.token_embd)


def projections(g: Graph, b: Weights, x: Node) -> tuple[Node, Node, Node]:
    """Queries, keys and values of x, normed."""
    return g.linear(x, b.attn_q), g.linear(x, b.attn_k), g.linear(x, b.attn_v)


def gated(w: Weights) -> bool:
    """Whether the file has gates; then every layer must have one."""
    return any(b.has("ffn_gate") for b in (*w.enc_blk, *w.dec_blk))


def feed_forward(g: Graph, p: T5Params, b: Weights, x: Node, is_gated: bool) -> Node:
    """x + down of what GELU gates, or of ReLU."""
    h = g.rms_norm(x, b.ffn_norm, p.norm_eps)
    if is_gated:
        h = g.glu(g.linear(h, b.need("ffn_gate")), g.linear(h, b.ffn_up), "gelu")
    else:
        h = g.unary(g.linear(h, b.ffn_up), "relu")
    return g.add(x, g.linear(h, b.ffn_down))


def bias_of(p: T5Params, buckets: Layer, *, both_ways: bool) -> PositionBias:
    """The biases of a layer: its own, or those of its side's first one."""
    return PositionBias(p.n_head, buckets.weight, both_ways)


ARCHITECTURE: Final = Architecture(
    {"t5": "T5, Flan-T5, MADLAD-400: an encoder's text in, a decoder's answer out"},
    T5Params,
    TENSORS,
    forward,
    without_effect={"attention.layer_norm_epsilon": "all norms are RMS norms"},
    stacks={"enc.blk": "n_layer", "dec.blk": "n_decoder"},
    encoder=encoder,
)
