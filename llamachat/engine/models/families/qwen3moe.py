"""Qwen 3 with experts (Qwen Team 2025, arXiv 2505.09388).

RMS norms of queries and keys per head, rotary halves; no shared expert, shares sum to one.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import mixture, parts
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.params import key
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class Qwen3MoeParams(mixture.Experts, ScaledRotaryHeads):
    """Hyperparameters of the `qwen3moe` architecture."""

    n_ff_expert: int = key("expert_feed_forward_length", mixture.share_of_feed_forward)


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ANY_ATTENTION}{parts.HEAD_NORMS}
blk.*.ffn_norm.weight              n_embd
{mixture.ROUTER}{mixture.EXPERTS}{mixture.EXPERTS_SCALES}
"""


def forward(g: Graph, p: Qwen3MoeParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope, routing = rope_spec(p, "halves", None), p.routing(normalised=True)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope, p.norm_eps))
        x = g.add(x, mixture.feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), routing))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"qwen3moe": "Qwen3 30B-A3B and 235B-A22B, Qwen3-Coder 30B-A3B and 480B-A35B"},
    Qwen3MoeParams,
    TENSORS,
    forward,
    parts.NO_RESULT,
)
