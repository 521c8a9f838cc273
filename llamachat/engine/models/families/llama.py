"""Llama 1 to 3 and what shares its form (Mistral, SmolLM, Yi, ...): Touvron et al. 2023, arXiv 2302.13971.

Pre-norm RMS, rotary embedding of adjacent pairs, grouped queries, SwiGLU. Mixtral (Jiang et al. 2024, arXiv 2401.04088)
has experts in place of the feed-forward network.
"""

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
class LlamaParams(mixture.MaybeExperts, ScaledRotaryHeads):
    """Hyperparameters of the `llama` architecture."""

    rope_scaling: str = key("rope.scaling.type", "linear", only=("none", "linear", "yarn", "longrope"))
    attention_scale: float = key("attention.scale", 0.0)


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ROPE_FACTORS}{parts.ANY_ATTENTION}{parts.SCALES}
{mixture.FEED_FORWARD_OR_EXPERTS}
"""


def forward(g: Graph, p: LlamaParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "adjacent", w.rope_factors_short or w.rope_freqs, w.rope_factors_long)
    routing = p.routing(normalised=True)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        h = g.rms_norm(x, b.attn_norm, p.norm_eps)
        x = g.add(x, parts.attention(g, p, b, h, layer, rope, scale=p.attention_scale or p.head_dim**-0.5))
        x = g.add(x, mixture.feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), routing))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {
        "llama": "Llama 1 to 3, Mistral 7B, Mixtral, SmolLM and SmolLM2, Yi, Vicuna, TinyLlama, Granite Code 3B, 8B, "
        "InternLM 3 and their fine-tunes"
    },
    LlamaParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
