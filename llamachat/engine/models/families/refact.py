"""Refact (Refact AI 2023, model card): as Llama, with slopes (ALiBi) in place of a rotation."""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.graph.attention import alibi_slopes
from llamachat.engine.models import parts
from llamachat.engine.models.base import Heads
from llamachat.engine.models.params import key
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights

LARGEST_BIAS: Final = 8.0


@dataclass(frozen=True)
class RefactParams(Heads):
    """Hyperparameters of the `refact` architecture."""

    norm_eps: float = key("attention.layer_norm_rms_epsilon", high=1.0)


TENSORS: Final = f"""
{parts.EMBEDDING}{parts.SCALES}
{parts.ANY_ATTENTION}
{parts.GATED_FEED_FORWARD}
"""


def forward(g: Graph, p: RefactParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    slopes = alibi_slopes(p.n_head, LARGEST_BIAS)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        h = g.rms_norm(x, b.attn_norm, p.norm_eps)
        x = g.add(x, parts.attention(g, p, b, h, layer, None, slopes=slopes))
        x = g.add(x, parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"refact": "Refact 1.6B"},
    RefactParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT
    | {"rope.dimension_count": "nothing rotates", "rope.freq_base": "nothing rotates", "attention.max_alibi_bias": "8"},
)
