"""Grok 1 and 2 (xAI 2024 and 2025, the released weights).

Attention scores have a soft cap, every branch is normed before it is added. Grok 2 has a feed-forward network beside
the experts. Grok 1's files may lack all of its constants.
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
class GrokParams(mixture.Experts, ScaledRotaryHeads):
    """Hyperparameters of the `grok` architecture."""

    embedding_scale: float = key("embedding_scale", 78.38367176906169, high=1e9)
    logit_scale: float = key("logit_scale", 0.5773502691896257, high=1e9)
    attention_scale: float = key("attention.output_scale", 0.08838834764831845, high=1e9)
    attention_cap: float = key("attn_logit_softcapping", 30.0, low=1e-9, high=1e9)
    final_cap: float = key("final_logit_softcapping", 0.0, high=1e9)
    yarn_beta_fast: float = key("rope.scaling.yarn_beta_fast", 8.0, low=1e-6, high=1e9)


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ANY_ATTENTION}
blk.*.attn_output_norm.weight   n_embd
blk.*.ffn_norm.weight           n_embd
blk.*.ffn_gate.weight?          n_ff n_embd
blk.*.ffn_up.weight?            n_ff n_embd
blk.*.ffn_down.weight?          n_embd n_ff
{mixture.ROUTER}{mixture.EXPERTS}
blk.*.layer_output_norm.weight? n_embd                        # Grok 1
blk.*.post_ffw_norm.weight?     n_embd                        # Grok 2
"""


def forward(g: Graph, p: GrokParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope, routing = rope_spec(p, "halves", None), p.routing(normalised=True)
    scores = {"scale": p.attention_scale, "soft_cap": p.attention_cap}
    x = g.embed(w.token_embd, p.embedding_scale)
    for layer, b in enumerate(w.blk):
        h = parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope, **scores)
        x = g.add(x, g.rms_norm(h, b.attn_output_norm, p.norm_eps))
        h = g.rms_norm(x, b.ffn_norm, p.norm_eps)
        mixed = mixture.mixture(g, b, h, routing, "gelu")
        if any(map(b.has, ("ffn_gate", "ffn_up", "ffn_down"))):
            mixed = g.scale(g.add(mixed, parts.gated_feed_forward(g, b, h, "gelu")), math.sqrt(0.5))
        x = g.add(x, g.rms_norm(mixed, b.layer_output_norm or b.need("post_ffw_norm"), p.norm_eps))
    return g.soft_cap(g.scale(parts.logits(g, w, x, p.norm_eps), p.logit_scale), p.final_cap)


ARCHITECTURE: Final = Architecture(
    {"grok": "Grok 1 and 2"},
    GrokParams,
    TENSORS,
    forward,
    parts.NO_RESULT
    | {
        "router_logit_softcapping": "the released models do not use it",
        "attention.temperature_length": "llama.cpp reads it and computes nothing from it",
        "rope.scaling.yarn_ext_factor": "is 1 in files with YaRN, without it there is no ramp",
        "rope.scaling.yarn_attn_factor": "is 1",
    },
)
