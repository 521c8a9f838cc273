"""XVERSE (github.com/xverse-ai): Llama's form."""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class XverseParams(ScaledRotaryHeads):
    """Hyperparameters of the `xverse` architecture."""


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ANY_ATTENTION}
{parts.GATED_FEED_FORWARD}{parts.GATED_FEED_FORWARD_BIASES}
"""


def forward(g: Graph, p: XverseParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "adjacent", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        x = g.add(x, parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"xverse": "XVERSE 7B, 13B and 65B"},
    XverseParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
