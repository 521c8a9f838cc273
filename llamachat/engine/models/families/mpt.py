"""MPT (MosaicML 2023, blog post): layer norms, slopes (ALiBi); queries, keys and values at most clamp_kqv in size.

Some have learned positions in place of slopes, biases, or layer norms of queries and keys.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.graph.attention import alibi_slopes
from llamachat.engine.models import parts
from llamachat.engine.models.base import Heads
from llamachat.engine.models.params import key
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class MptParams(Heads):
    """Hyperparameters of the `mpt` architecture; 0: no slopes, no clamp."""

    norm_eps: float = key("attention.layer_norm_epsilon", high=1.0)
    largest_bias: float = key("attention.max_alibi_bias", 0.0, high=1000.0)
    clamp: float = key("attention.clamp_kqv", 0.0, high=1e9)


TENSORS: Final = f"""
{parts.EMBEDDING}
position_embd.weight?       context_length n_embd
output_norm.bias?           n_embd
{parts.ANY_ATTENTION}
blk.*.attn_norm.bias?       n_embd
blk.*.attn_q_norm.weight?   n_head*head_dim
blk.*.attn_q_norm.bias?     n_head*head_dim
blk.*.attn_k_norm.weight?   n_head_kv*head_dim
blk.*.attn_k_norm.bias?     n_head_kv*head_dim
blk.*.ffn_norm.weight       n_embd
blk.*.ffn_norm.bias?        n_embd
{parts.FEED_FORWARD}
"""


def forward(g: Graph, p: MptParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    slopes = alibi_slopes(p.n_head, p.largest_bias) if p.largest_bias else ()
    x = g.embed(w.token_embd)
    if w.has("position_embd"):
        x = g.add_positions(x, w.position_embd)
    for layer, b in enumerate(w.blk):
        q, k, v = parts.projections(g, p, b, g.layer_norm(x, b.attn_norm, p.norm_eps), p.clamp)
        if b.has("attn_q_norm") and b.has("attn_k_norm"):
            q, k = g.layer_norm(q, b.attn_q_norm, p.norm_eps), g.layer_norm(k, b.attn_k_norm, p.norm_eps)
        heads = {"layer": layer, "n_head": p.n_head, "n_head_kv": p.n_head_kv, "scale": p.head_dim**-0.5}
        x = g.add(x, g.linear(g.attention(q, k, v, **heads, slopes=slopes), b.attn_output))
        h = g.linear(g.layer_norm(x, b.ffn_norm, p.norm_eps), b.ffn_up)
        x = g.add(x, g.linear(g.unary(h, "gelu"), b.ffn_down))
    return g.linear(g.layer_norm(x, w.output_norm, p.norm_eps), w.output or w.token_embd)


ARCHITECTURE: Final = Architecture(
    {"mpt": "MPT 7B and 30B, and what is made of them"},
    MptParams,
    TENSORS,
    forward,
    without_effect={"pooling_type": "is about sentence embeddings"},
)
