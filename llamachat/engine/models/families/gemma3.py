"""Gemma 3, text (Gemma Team 2025, arXiv 2503.19786).

Norms before and after each branch, RMS norms of q and k per head, rotary halves, GeGLU, embeddings times sqrt(n_embd).
Most layers see a sliding window and turn with a base of their own, unscaled; every sixth layer sees everything.
The converter has already added one to the norms' weights.
"""

import math
from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node, RopeSpec
from llamachat.engine.models import parts
from llamachat.engine.models.base import WindowedHeads, window_pattern
from llamachat.engine.models.params import key
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights

LARGEST_MODEL_LAYERS: Final = 62
"""The 27B model, recognised by its layer count: its attention scale is 1/sqrt(n_embd/n_head)."""


@dataclass(frozen=True)
class Gemma3Params(WindowedHeads):
    """Hyperparameters of the `gemma3` architecture."""

    rope_scaling: str = key("rope.scaling.type", "linear", only=("none", "linear"))
    rope_scale: float = key("rope.scaling.factor", 1.0, low=1e-6, high=1e9)
    window_pattern: int | tuple[bool, ...] = key("attention.sliding_window_pattern", 6, parse=window_pattern)
    logit_cap: float = key("final_logit_softcapping", 0.0, high=1e9)
    window_rope_base: float = key("rope.freq_base_swa", 10_000.0, low=1.001, high=1e15)

    @property
    def attention_scale(self) -> float:
        """1/sqrt of the size that scores are divided by."""
        size = self.n_embd // self.n_head if self.n_layer == LARGEST_MODEL_LAYERS else self.head_dim
        return 1 / math.sqrt(size)


TENSORS: Final = f"""
{parts.EMBEDDING}{parts.SCALES}
{parts.ATTENTION}{parts.HEAD_NORMS}
blk.*.post_attention_norm.weight    n_embd
{parts.GATED_FEED_FORWARD}
blk.*.post_ffw_norm.weight          n_embd
"""


def forward(g: Graph, p: Gemma3Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    full = RopeSpec(p.n_rot, p.rope_base, "halves", 1.0 if p.rope_scaling == "none" else p.rope_scale)
    local = RopeSpec(p.n_rot, p.window_rope_base, "halves")
    x = g.embed(w.token_embd, math.sqrt(p.n_embd))
    for layer, b in enumerate(w.blk):
        rope, window = (local, p.window) if p.has_window(layer) else (full, 0)
        h = g.rms_norm(x, b.attn_norm, p.norm_eps)
        h = parts.attention(g, p, b, h, layer, rope, p.norm_eps, scale=p.attention_scale, window=window)
        x = g.add(x, g.rms_norm(h, b.post_attention_norm, p.norm_eps))
        h = parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "gelu")
        x = g.add(x, g.rms_norm(h, b.post_ffw_norm, p.norm_eps))
    return g.soft_cap(parts.logits(g, w, x, p.norm_eps), p.logit_cap)


ARCHITECTURE: Final = Architecture(
    {"gemma3": "Gemma 3 270M to 27B"},
    Gemma3Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT | {"rope.scaling.original_context_length": "matters to YaRN only"},
)
