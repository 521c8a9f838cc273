"""Granite, dense or with experts (Granite Team 2024, github.com/ibm-granite/granite-3.0-language-models).

Llama's form with constants: embeddings, what each branch adds, and logits are multiplied, scores have a scale of their
own. Models whose `rope.scaling.finetuned` is false turn nothing.
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
class GraniteParams(mixture.MaybeExperts, ScaledRotaryHeads):
    """Hyperparameters of the `granite` and `granitemoe` architectures."""

    rope_scaling: str = key("rope.scaling.type", "linear", only=("none", "linear", "yarn", "longrope"))
    embedding_scale: float = key("embedding_scale", 0.0)
    residual_scale: float = key("residual_scale", 0.0)
    logit_scale: float = key("logit_scale", low=1e-6)
    attention_scale: float = key("attention.scale", 0.0)
    turns: bool = key("rope.scaling.finetuned", True)


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ROPE_FACTORS}{parts.ANY_ATTENTION}
{mixture.FEED_FORWARD_OR_EXPERTS}
"""


def forward(g: Graph, p: GraniteParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "adjacent", w.rope_factors_short or w.rope_freqs, w.rope_factors_long) if p.turns else None
    routing = p.routing(normalised=True)
    scale, factor = p.attention_scale or p.head_dim**-0.5, p.residual_scale or 1.0
    x = g.embed(w.token_embd, p.embedding_scale or 1.0)
    for layer, b in enumerate(w.blk):
        h = g.rms_norm(x, b.attn_norm, p.norm_eps)
        x = g.add(x, parts.attention(g, p, b, h, layer, rope, factor=factor, scale=scale))
        x = g.add(x, mixture.feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), routing, factor))
    return parts.logits(g, w, x, p.norm_eps, factor=1 / p.logit_scale)


ARCHITECTURE: Final = Architecture(
    {
        "granite": "Granite 3 to 3.3, Granite 4 without Mamba layers, dense",
        "granitemoe": "Granite 3 1B-A400M and 3B-A800M, and those with a shared expert",
    },
    GraniteParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
