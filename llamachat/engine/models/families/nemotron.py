"""Nemotron (Parmar et al. 2024, arXiv 2402.16819).

Layer norms whose weight the converter has raised by one, partial rotary halves, squared ReLU without a gate.
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
class NemotronParams(LayerNormHeads):
    """Hyperparameters of the `nemotron` architecture."""


TENSORS: Final = f"""
{parts.EMBEDDING}{parts.LAYER_NORM_BIASES}
{parts.ANY_ATTENTION}
blk.*.ffn_norm.weight       n_embd
blk.*.ffn_norm.bias         n_embd
{parts.FEED_FORWARD}
"""


def forward(g: Graph, p: NemotronParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.layer_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        x = g.add(x, parts.feed_forward(g, b, g.layer_norm(x, b.ffn_norm, p.norm_eps), "relu2"))
    return parts.logits(g, w, x, p.norm_eps, "layer")


ARCHITECTURE: Final = Architecture(
    {"nemotron": "Nemotron 3 8B, Nemotron 4, Minitron"},
    NemotronParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT_OF_LAYER_NORMS,
)
