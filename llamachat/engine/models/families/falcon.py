"""Falcon (Almazrouei et al. 2023, arXiv 2311.16867).

Layer norms, rotary halves, few keys and values for many queries, GELU without a gate, no biases of matrices. Both
branches read the same value of the residual stream; the 40B and 180B models have a norm for each.
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
class FalconParams(LayerNormHeads):
    """Hyperparameters of the `falcon` architecture."""

    two_norms: bool = present("blk.0.attn_norm_2.weight")


TENSORS: Final = f"""
{parts.EMBEDDING}{parts.LAYER_NORM_BIASES}
blk.*.attn_norm_2.weight    n_embd      when two_norms == 1
blk.*.attn_norm_2.bias      n_embd      when two_norms == 1
{parts.ANY_ATTENTION}
{parts.FEED_FORWARD}
"""


def forward(g: Graph, p: FalconParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        normed = g.layer_norm(x, b.attn_norm, p.norm_eps)
        h = g.layer_norm(x, b.attn_norm_2, p.norm_eps) if p.two_norms else normed
        x = g.add(x, parts.attention(g, p, b, h, layer, rope))
        x = g.add(x, parts.feed_forward(g, b, normed, "gelu"))
    return parts.logits(g, w, x, p.norm_eps, "layer")


ARCHITECTURE: Final = Architecture(
    {"falcon": "Falcon 7B, 40B and 180B"},
    FalconParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT_OF_LAYER_NORMS,
)
