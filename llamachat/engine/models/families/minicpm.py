"""MiniCPM (Hu et al. 2024, arXiv 2404.06395).

Llama's form with constants: embeddings, what each branch adds, and logits are multiplied. Where an old file does not
name them, they are those that llama.cpp assumes.
"""

import math
from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import mixture, parts
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.params import key
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class MinicpmParams(mixture.MaybeExperts, ScaledRotaryHeads):
    """Hyperparameters of the `minicpm` architecture."""

    rope_scaling: str = key("rope.scaling.type", "linear", only=("none", "linear", "yarn", "longrope"))
    embedding_scale: float = key("embedding_scale", 12.0)
    residual_scale: float = key("residual_scale", lambda earlier: 1.4 / math.sqrt(earlier["n_layer"]))
    logit_scale: float = key("logit_scale", lambda earlier: 256 / earlier["n_embd"], low=1e-6)


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ROPE_FACTORS}{parts.ANY_ATTENTION}
{mixture.FEED_FORWARD_OR_EXPERTS}
"""


def forward(g: Graph, p: MinicpmParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "adjacent", w.rope_factors_short or w.rope_freqs, w.rope_factors_long)
    routing = p.routing(normalised=True)
    x = g.embed(w.token_embd, p.embedding_scale)
    for layer, b in enumerate(w.blk):
        h = g.rms_norm(x, b.attn_norm, p.norm_eps)
        x = g.add(x, parts.attention(g, p, b, h, layer, rope, factor=p.residual_scale))
        h = g.rms_norm(x, b.ffn_norm, p.norm_eps)
        x = g.add(x, mixture.feed_forward(g, b, h, routing, p.residual_scale))
    return parts.logits(g, w, x, p.norm_eps, factor=1 / p.logit_scale)


ARCHITECTURE: Final = Architecture(
    {"minicpm": "MiniCPM 1B and 2B, MoE 8x2B, MiniCPM 4"},
    MinicpmParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
