"""Gemma (Gemma Team 2024, arXiv 2403.08295): as Llama, with rotary halves, GeGLU and embeddings times sqrt(n_embd).

The output is the embedding. The converter has already added one to the norms' weights.
"""

import math
from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class GemmaParams(ScaledRotaryHeads):
    """Hyperparameters of the `gemma` architecture."""


TENSORS: Final = f"""
{parts.EMBEDDING}{parts.SCALES}
{parts.ATTENTION}
{parts.GATED_FEED_FORWARD}
"""


def forward(g: Graph, p: GemmaParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", None)
    x = g.embed(w.token_embd, math.sqrt(p.n_embd))
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        x = g.add(x, parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "gelu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"gemma": "Gemma 2B and 7B, CodeGemma"}, GemmaParams, TENSORS, forward, without_effect=parts.NO_RESULT
)
