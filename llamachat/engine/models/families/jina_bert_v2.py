"""Jina embeddings 2 (Günther et al. 2023, arXiv 2310.19923): BERT with ALiBi in both directions and GeGLU.

Some have layer norms of queries and keys, a second norm behind attention, or gate and up in one matrix.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node, PositionBias
from llamachat.engine.models import encoders, parts
from llamachat.engine.models.encoders import Encoder
from llamachat.engine.models.params import Earlier, key
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


def rows_of_up(earlier: Earlier) -> int:
    """Rows of the matrix `ffn_up`: twice the width where it holds the gate, too."""
    return int(earlier["rows"].get("blk.0.ffn_up.weight", earlier["n_ff"]))


@dataclass(frozen=True)
class JinaBertParams(Encoder):
    """Hyperparameters of the `jina-bert-v2` architecture."""

    alibi: float = key("attention.max_alibi_bias", 8.0, high=64)
    n_up: int = key("feed_forward_up_length", rows_of_up)


TENSORS: Final = f"""
{encoders.EMBEDDING}
blk.*.attn_q.weight         n_head*head_dim n_embd
blk.*.attn_k.weight         n_head_kv*head_dim n_embd
blk.*.attn_v.weight         n_head_kv*value_dim n_embd
blk.*.attn_output.weight    n_embd n_head*value_dim
{parts.ATTENTION_BIASES}{encoders.NORMS}
blk.*.attn_q_norm.weight?   n_embd
blk.*.attn_q_norm.bias?     n_embd
blk.*.attn_k_norm.weight?   n_embd
blk.*.attn_k_norm.bias?     n_embd
blk.*.attn_norm_2.weight?   n_embd
blk.*.attn_norm_2.bias?     n_embd
blk.*.ffn_gate.weight?      n_ff n_embd
blk.*.ffn_up.weight         n_up n_embd
blk.*.ffn_up.bias?          n_up
blk.*.ffn_down.weight       n_embd n_ff
blk.*.ffn_down.bias?        n_embd
{encoders.CLASSIFIER}
"""


def forward(g: Graph, p: JinaBertParams, w: Weights) -> Node:
    """embeddings [n_tokens, n_embd]."""
    bias = PositionBias(p.n_head, largest=p.alibi)
    x = encoders.embedded(g, w, p.norm_eps)
    for b in w.blk:
        h = g.layer_norm(g.add(x, encoders.attention(g, p, b, x, bias=bias)), b.attn_output_norm, p.norm_eps)
        if b.has("attn_norm_2"):
            h = g.layer_norm(g.add(h, x), b.attn_norm_2, p.norm_eps)
        x = g.layer_norm(g.add(h, encoders.gated(g, b, h, "gelu")), b.layer_output_norm, p.norm_eps)
    return x


ARCHITECTURE: Final = Architecture(
    {"jina-bert-v2": "Jina Embeddings 2, jina-reranker-v1"},
    JinaBertParams,
    TENSORS,
    forward,
    without_effect=encoders.NO_RESULT,
)
