"""BERT and the sentence encoders of its form (Devlin et al. 2018, arXiv 1810.04805).

Learned positions, every token sees its whole text, a layer norm behind each branch, GELU. It has no output head: the
last layer's values are the embeddings of the tokens. Rerankers have a classifier (`cls`).
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import encoders, parts
from llamachat.engine.models.encoders import Encoder
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class BertParams(Encoder):
    """Hyperparameters of the `bert` architecture."""


TENSORS: Final = f"""
{encoders.EMBEDDING}
position_embd.weight        context_length n_embd
blk.*.attn_q.weight         n_head*head_dim n_embd
blk.*.attn_k.weight         n_head_kv*head_dim n_embd
blk.*.attn_v.weight         n_head_kv*value_dim n_embd
blk.*.attn_output.weight    n_embd n_head*value_dim
{parts.ATTENTION_BIASES}{encoders.NORMS}
blk.*.ffn_up.weight         n_ff n_embd
blk.*.ffn_up.bias?          n_ff
blk.*.ffn_down.weight       n_embd n_ff
blk.*.ffn_down.bias?        n_embd
{encoders.CLASSIFIER}
"""


def forward(g: Graph, p: BertParams, w: Weights) -> Node:
    """embeddings [n_tokens, n_embd]."""
    x = encoders.embedded(g, w, p.norm_eps)
    for b in w.blk:
        x = g.layer_norm(g.add(x, encoders.attention(g, p, b, x)), b.attn_output_norm, p.norm_eps)
        h = g.linear(g.unary(g.linear(x, b.ffn_up), "gelu"), b.ffn_down)
        x = g.layer_norm(g.add(x, h), b.layer_output_norm, p.norm_eps)
    return x


ARCHITECTURE: Final = Architecture(
    {"bert": "BERT, BGE (bge-m3 too), E5, GTE, MiniLM, mxbai and snowflake-arctic embeddings, bge-reranker"},
    BertParams,
    TENSORS,
    forward,
    without_effect=encoders.NO_RESULT,
)
