"""StableLM (Bellagente et al. 2024, arXiv 2402.17834).

Layer norms, partial rotary halves, SwiGLU. StableLM 2 12B has layer norms of queries and keys, each head with weights
of its own, and no second norm: there both branches read the first one's value.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts
from llamachat.engine.models.base import LayerNormHeads
from llamachat.engine.models.params import present
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class StablelmParams(LayerNormHeads):
    """Hyperparameters of the `stablelm` architecture."""

    sequential: bool = present("blk.0.ffn_norm.weight")
    head_norms: bool = present("blk.0.attn_q_norm.weight")


TENSORS: Final = f"""
{parts.EMBEDDING}{parts.LAYER_NORM_BIASES}
{parts.ANY_ATTENTION}
blk.*.attn_q_norm.weight    n_head head_dim     when head_norms == 1
blk.*.attn_k_norm.weight    n_head_kv head_dim  when head_norms == 1
blk.*.ffn_norm.weight       n_embd              when sequential == 1
blk.*.ffn_norm.bias         n_embd              when sequential == 1
{parts.GATE_UP_DOWN}
"""


def forward(g: Graph, p: StablelmParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        normed = g.layer_norm(x, b.attn_norm, p.norm_eps)
        x = g.add(x, parts.attention(g, p, b, normed, layer, rope, p.norm_eps, norm="layer"))
        h = g.layer_norm(x, b.ffn_norm, p.norm_eps) if p.sequential else normed
        x = g.add(x, parts.gated_feed_forward(g, b, h, "silu"))
    return parts.logits(g, w, x, p.norm_eps, "layer")


ARCHITECTURE: Final = Architecture(
    {"stablelm": "StableLM 3B, StableLM 2 1.6B and 12B, Stable Code"},
    StablelmParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT_OF_LAYER_NORMS | {"use_parallel_residual": "the second norm is there, or it is not"},
)
