"""Phi 1, 1.5 and 2 (Li et al. 2023, arXiv 2309.05463).

One layer norm in a layer, whose value both branches read, partial rotary halves, GELU without a gate, biases
everywhere, the output matrix too.
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
class Phi2Params(LayerNormHeads):
    """Hyperparameters of the `phi2` architecture."""


TENSORS: Final = f"""
{parts.EMBEDDING}{parts.LAYER_NORM_BIASES}
output.bias?                n_vocab
{parts.ANY_ATTENTION}
{parts.FEED_FORWARD}
"""


def forward(g: Graph, p: Phi2Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        h = g.layer_norm(x, b.attn_norm, p.norm_eps)
        x = g.add(x, parts.attention(g, p, b, h, layer, rope))
        x = g.add(x, parts.feed_forward(g, b, h, "gelu"))
    return parts.logits(g, w, x, p.norm_eps, "layer")


ARCHITECTURE: Final = Architecture(
    {"phi2": "Phi 1, 1.5 and 2"},
    Phi2Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT_OF_LAYER_NORMS,
)
