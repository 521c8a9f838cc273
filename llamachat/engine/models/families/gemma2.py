"""Gemma 2 (Gemma Team 2024, arXiv 2408.00118): Gemma with norms behind each branch, and soft caps of scores and logits.

Every second layer sees a sliding window.
"""

import math
from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts
from llamachat.engine.models.base import ScaledWindowedHeads, window_pattern
from llamachat.engine.models.params import key
from llamachat.engine.models.rotary import rope_spec, with_base
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights

LARGEST_MODEL_LAYERS: Final = 46
"""The 27B model, recognised by its layer count: its attention scale is 1/sqrt(n_embd/n_head)."""


@dataclass(frozen=True)
class Gemma2Params(ScaledWindowedHeads):
    """Hyperparameters of the `gemma2` architecture. Caps are those of the models, where files do not say them."""

    window: int = key("attention.sliding_window", 4096, low=0)
    window_pattern: int | tuple[bool, ...] = key("attention.sliding_window_pattern", 2, parse=window_pattern)
    score_cap: float = key("attn_logit_softcapping", 50.0, high=1e9)
    logit_cap: float = key("final_logit_softcapping", 30.0, high=1e9)

    @property
    def attention_scale(self) -> float:
        """1/sqrt of the size that scores are divided by."""
        size = self.n_embd // self.n_head if self.n_layer == LARGEST_MODEL_LAYERS else self.head_dim
        return 1 / math.sqrt(size)


TENSORS: Final = f"""
{parts.EMBEDDING}{parts.SCALES}
{parts.ATTENTION}
blk.*.post_attention_norm.weight    n_embd
{parts.GATED_FEED_FORWARD}
blk.*.post_ffw_norm.weight          n_embd
"""


def forward(g: Graph, p: Gemma2Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    full = rope_spec(p, "halves", None)
    ropes = {0: full, p.window: with_base(full, p.window_rope_base)}
    x = g.embed(w.token_embd, math.sqrt(p.n_embd))
    for layer, b in enumerate(w.blk):
        special = {"scale": p.attention_scale, "soft_cap": p.score_cap, "window": p.window_at(layer)}
        h = g.rms_norm(x, b.attn_norm, p.norm_eps)
        h = parts.attention(g, p, b, h, layer, ropes[p.window_at(layer)], **special)
        x = g.add(x, g.rms_norm(h, b.post_attention_norm, p.norm_eps))
        h = parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "gelu")
        x = g.add(x, g.rms_norm(h, b.post_ffw_norm, p.norm_eps))
    return g.soft_cap(parts.logits(g, w, x, p.norm_eps), p.logit_cap)


ARCHITECTURE: Final = Architecture(
    {"gemma2": "Gemma 2 2B, 9B and 27B"}, Gemma2Params, TENSORS, forward, without_effect=parts.NO_RESULT
)
