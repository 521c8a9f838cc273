"""Qwen, the first one (Bai et al. 2023, arXiv 2309.16609).

Llama's form with a fused projection that has biases, and rotary halves. `feed_forward_length` is that of gate and up
together.
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
class QwenParams(ScaledRotaryHeads):
    """Hyperparameters of the `qwen` architecture."""


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ANY_ATTENTION}
blk.*.ffn_norm.weight       n_embd
blk.*.ffn_gate.weight       n_ff/2 n_embd
blk.*.ffn_up.weight         n_ff/2 n_embd
blk.*.ffn_down.weight       n_embd n_ff/2
"""


def forward(g: Graph, p: QwenParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        x = g.add(x, parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"qwen": "Qwen 1 7B to 72B"},
    QwenParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
