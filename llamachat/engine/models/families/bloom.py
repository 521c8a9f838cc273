"""BLOOM (BigScience 2022, arXiv 2211.05100): layer norms with biases, slopes (ALiBi), a norm behind the embedding."""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.graph.attention import alibi_slopes
from llamachat.engine.models import parts
from llamachat.engine.models.base import Heads
from llamachat.engine.models.params import key
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights

LARGEST_BIAS: Final = 8.0


@dataclass(frozen=True)
class BloomParams(Heads):
    """Hyperparameters of the `bloom` architecture."""

    norm_eps: float = key("attention.layer_norm_epsilon", high=1.0)


TENSORS: Final = f"""
{parts.EMBEDDING}
token_embd_norm.weight      n_embd
token_embd_norm.bias        n_embd
output_norm.bias            n_embd
{parts.ANY_ATTENTION}
blk.*.attn_norm.bias        n_embd
blk.*.ffn_norm.weight       n_embd
blk.*.ffn_norm.bias         n_embd
{parts.FEED_FORWARD}
"""


def forward(g: Graph, p: BloomParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    slopes = alibi_slopes(p.n_head, LARGEST_BIAS)
    x = g.layer_norm(g.embed(w.token_embd), w.token_embd_norm, p.norm_eps)
    for layer, b in enumerate(w.blk):
        h = g.layer_norm(x, b.attn_norm, p.norm_eps)
        x = g.add(x, parts.attention(g, p, b, h, layer, None, slopes=slopes))
        h = g.linear(g.layer_norm(x, b.ffn_norm, p.norm_eps), b.ffn_up)
        x = g.add(x, g.linear(g.unary(h, "gelu"), b.ffn_down))
    return g.linear(g.layer_norm(x, w.output_norm, p.norm_eps), w.output or w.token_embd)


ARCHITECTURE: Final = Architecture(
    {"bloom": "BLOOM, BLOOMZ"},
    BloomParams,
    TENSORS,
    forward,
    without_effect={"pooling_type": "is about sentence embeddings", "attention.max_alibi_bias": "8 in all of them"},
)
