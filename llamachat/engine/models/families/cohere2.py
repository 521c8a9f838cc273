"""Command R7B, Command A (Cohere 2025, arXiv 2504.00698): layer norms without bias, both branches beside each other.

Windows and a rotation of adjacent pairs in three of four layers; the fourth sees everything and does not rotate.
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


@dataclass(frozen=True)
class Cohere2Params(ScaledWindowedHeads):
    """Hyperparameters of the `cohere2` architecture."""

    norm_eps: float = key("attention.layer_norm_epsilon", high=1.0)
    window: int = key("attention.sliding_window", low=0)
    window_pattern: int | tuple[bool, ...] = key("attention.sliding_window_pattern", 4, parse=window_pattern)
    logit_scale: float = key("logit_scale", low=-1e9, high=1e9)


TENSORS: Final = f"""
token_embd.weight           n_vocab n_embd
output_norm.weight          n_embd
output.weight?              n_vocab n_embd                # absent: tied to token_embd
{parts.SCALES}
{parts.ATTENTION}{parts.ATTENTION_BIASES}
{parts.GATE_UP_DOWN}
"""


def forward(g: Graph, p: Cohere2Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = with_base(rope_spec(p, "adjacent", None), p.window_rope_base)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        window = p.window_at(layer)
        h = g.layer_norm(x, b.attn_norm, p.norm_eps)
        x = g.add(x, parts.attention(g, p, b, h, layer, rope if window else None, window=window))
        x = g.add(x, parts.gated_feed_forward(g, b, h, "silu"))
    x = g.layer_norm(x, w.output_norm, p.norm_eps)
    return g.scale(g.linear(x, w.output or w.token_embd), p.logit_scale)


ARCHITECTURE: Final = Architecture(
    {"cohere2": "Command R7B, Command A, Tiny Aya"},
    Cohere2Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT | {"attention.layer_norm_rms_epsilon": "all norms are layer norms"},
)
