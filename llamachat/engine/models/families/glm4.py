"""GLM 4 0414 (GLM Team 2025, huggingface.co/THUDM/GLM-4-9B-0414).

GLM 4 with norms behind each branch, too.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class Glm4Params(ScaledRotaryHeads):
    """Hyperparameters of the `glm4` architecture."""


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ANY_ATTENTION}
blk.*.post_attention_norm.weight    n_embd
blk.*.ffn_norm.weight       n_embd
{parts.FUSED_FEED_FORWARD}
blk.*.post_ffw_norm.weight  n_embd
"""


def forward(g: Graph, p: Glm4Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "adjacent", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        h = parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope)
        x = g.add(x, g.rms_norm(h, b.post_attention_norm, p.norm_eps))
        h = parts.fused_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "silu")
        x = g.add(x, g.rms_norm(h, b.post_ffw_norm, p.norm_eps))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"glm4": "GLM 4 0414, GLM Z1"},
    Glm4Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
