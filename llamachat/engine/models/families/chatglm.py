"""ChatGLM 3 and GLM 4 9B (GLM Team 2024, arXiv 2406.12793).

Llama's form, of which half of each head turns in adjacent pairs, with fused projections: queries, keys and values with
biases, gate and up.
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
class ChatglmParams(ScaledRotaryHeads):
    """Hyperparameters of the `chatglm` architecture."""


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ANY_ATTENTION}
blk.*.ffn_norm.weight       n_embd
{parts.FUSED_FEED_FORWARD}
"""


def forward(g: Graph, p: ChatglmParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "adjacent", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        x = g.add(x, parts.fused_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"chatglm": "ChatGLM 3, GLM 4 9B, CodeGeeX 4"},
    ChatglmParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
