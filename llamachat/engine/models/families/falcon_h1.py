"""Falcon-H1 (Zuo et al. 2025, arXiv 2507.22448): in every layer attention and Mamba 2 side by side.

Rotary halves, SwiGLU. The converter has multiplied the weights by the model's multipliers.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts, state_space
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class FalconH1Params(state_space.GroupedStateSpace, ScaledRotaryHeads):
    """Hyperparameters of the `falcon-h1` architecture."""


FEED_FORWARD: Final = parts.GATED_FEED_FORWARD.replace("ffn_norm.weight", "ffn_norm       ")

TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ATTENTION}{state_space.MAMBA_2}{FEED_FORWARD}
blk.*.ssm_norm.weight?              n_group n_inner/n_group
"""


def forward(g: Graph, p: FalconH1Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        h = g.rms_norm(x, b.attn_norm, p.norm_eps)
        scanned = state_space.mamba_2(g, p, b, h, layer, p.norm_eps)
        x = g.add(x, g.add(parts.attention(g, p, b, h, layer, rope), scanned))
        x = g.add(x, parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"falcon-h1": "Falcon-H1 0.5B to 34B, Falcon-H1-Tiny"},
    FalconH1Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
