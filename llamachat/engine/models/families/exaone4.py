"""EXAONE 4.0 (LG AI Research 2025, arXiv 2507.11407): norms behind the branches only, and of queries and keys per head.

The 32B model, of 64 layers, has windows in three of four layers; the fourth sees everything and does not rotate. In the
others all layers see everything and rotate.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts
from llamachat.engine.models.base import ScaledWindowedHeads, window_pattern
from llamachat.engine.models.params import key
from llamachat.engine.models.rotary import rope_spec, with_base
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights

WINDOWED_LAYERS: Final = 64
"""Layers of the model that has windows."""


@dataclass(frozen=True)
class Exaone4Params(ScaledWindowedHeads):
    """Hyperparameters of the `exaone4` architecture; `window` says nothing unless the model is the one with windows."""

    window: int = key("attention.sliding_window", 4096, low=0)
    window_pattern: int | tuple[bool, ...] = key("attention.sliding_window_pattern", 4, parse=window_pattern)

    def has_window(self, layer: int) -> bool:
        """Only in the largest model."""
        return self.n_layer == WINDOWED_LAYERS and super().has_window(layer)


TENSORS: Final = f"""
{parts.EMBEDDING}{parts.SCALES}
rope_freqs.weight?                  n_rot/2               # what the angle of each pair is divided by
blk.*.attn_q.weight                 n_head*head_dim n_embd
blk.*.attn_k.weight                 n_head_kv*head_dim n_embd
blk.*.attn_v.weight                 n_head_kv*value_dim n_embd
blk.*.attn_output.weight            n_embd n_head*value_dim
{parts.HEAD_NORMS}
blk.*.post_attention_norm.weight    n_embd
{parts.GATE_UP_DOWN}
blk.*.post_ffw_norm.weight          n_embd
"""


def forward(g: Graph, p: Exaone4Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", w.rope_freqs)
    if p.n_layer == WINDOWED_LAYERS:
        rope = with_base(rope, p.window_rope_base)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        window = p.window_at(layer)
        turned = rope if window or p.n_layer != WINDOWED_LAYERS else None
        h = parts.attention(g, p, b, x, layer, turned, p.norm_eps, window=window)
        x = g.add(x, g.rms_norm(h, b.post_attention_norm, p.norm_eps))
        x = g.add(x, g.rms_norm(parts.gated_feed_forward(g, b, x, "silu"), b.post_ffw_norm, p.norm_eps))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"exaone4": "EXAONE 4.0 1.2B and 32B"}, Exaone4Params, TENSORS, forward, without_effect=parts.NO_RESULT
)
