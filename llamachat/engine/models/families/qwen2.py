"""Qwen 2 and 2.5 (Yang et al. 2024, arXiv 2407.10671 and 2412.15115).

Llama's form with biases of queries, keys and values, and rotary halves.
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
class Qwen2Params(ScaledRotaryHeads):
    """Hyperparameters of the `qwen2` architecture."""


TENSORS: Final = f"""
{parts.EMBEDDING}{parts.SCALES}
{parts.ANY_ATTENTION}
{parts.GATED_FEED_FORWARD}{parts.GATED_FEED_FORWARD_BIASES}
output.bias?                n_vocab
"""


def forward(g: Graph, p: Qwen2Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        x = g.add(x, parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"qwen2": "Qwen 1.5, Qwen 2, Qwen 2.5, with Coder, Math and QwQ, and the DeepSeek R1 distillations of them"},
    Qwen2Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
