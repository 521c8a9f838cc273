"""Phi 3 and 4 (Microsoft 2024, arXiv 2404.14219, 2412.08905): as Llama, with fused projections and rotary halves.

Long contexts divide angles by other factors than short ones (LongRoPE, arXiv 2402.13753): the size of the context
decides, not that of the text. The window that the first models name is not used, as in llama.cpp.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.params import key
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class Phi3Params(ScaledRotaryHeads):
    """Hyperparameters of the `phi3` architecture."""

    rope_scaling: str = key("rope.scaling.type", "linear", only=("none", "linear", "yarn", "longrope"))


TENSORS: Final = f"""
{parts.EMBEDDING}{parts.SCALES}
rope_factors_long.weight?   n_rot/2
rope_factors_short.weight?  n_rot/2
{parts.ANY_ATTENTION}
blk.*.ffn_norm.weight       n_embd
{parts.FUSED_FEED_FORWARD}
"""


def forward(g: Graph, p: Phi3Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", w.rope_factors_short, w.rope_factors_long)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        x = g.add(x, parts.fused_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"phi3": "Phi 3, 3.5 and 4, with mini and medium (not Phi 3 small)"},
    Phi3Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT | {"attention.sliding_window": "every layer sees everything, as in llama.cpp"},
)
