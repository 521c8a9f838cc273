"""Hunyuan, dense (Tencent 2025, github.com/Tencent-Hunyuan).

Llama's form with rotary halves and RMS norms of each head's queries and keys behind the rotation: its contexts cannot
be shifted.
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
class HunyuanDenseParams(ScaledRotaryHeads):
    """Hyperparameters of the `hunyuan-dense` architecture."""


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ANY_ATTENTION}
{parts.HEAD_NORMS}{parts.GATED_FEED_FORWARD}{parts.GATED_FEED_FORWARD_BIASES}
"""


def forward(g: Graph, p: HunyuanDenseParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        q, k, v = parts.projections(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps))
        q = g.rms_norm(g.rope(q, rope, p.head_dim), b.attn_q_norm, p.norm_eps)
        k = g.rms_norm(g.rope(k, rope, p.head_dim), b.attn_k_norm, p.norm_eps)
        x = g.add(x, g.linear(parts.heads(g, p, layer, (q, k, v)), b.attn_output))
        x = g.add(x, parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"hunyuan-dense": "Hunyuan 0.5B to 7B, dense"},
    HunyuanDenseParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
