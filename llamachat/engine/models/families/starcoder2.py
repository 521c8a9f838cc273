"""StarCoder 2 (Lozhkov et al. 2024, arXiv 2402.19173).

Layer norms, rotary halves, grouped queries, GELU without a gate, biases everywhere.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts
from llamachat.engine.models.base import LayerNormHeads
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class Starcoder2Params(LayerNormHeads):
    """Hyperparameters of the `starcoder2` architecture."""


TENSORS: Final = f"""
{parts.EMBEDDING}{parts.LAYER_NORM_BIASES}
{parts.ANY_ATTENTION}
blk.*.ffn_norm.weight       n_embd
blk.*.ffn_norm.bias         n_embd
{parts.FEED_FORWARD}
"""


def forward(g: Graph, p: Starcoder2Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.layer_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        x = g.add(x, parts.feed_forward(g, b, g.layer_norm(x, b.ffn_norm, p.norm_eps), "gelu"))
    return parts.logits(g, w, x, p.norm_eps, "layer")


ARCHITECTURE: Final = Architecture(
    {"starcoder2": "StarCoder 2 3B to 15B"},
    Starcoder2Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT_OF_LAYER_NORMS,
)
