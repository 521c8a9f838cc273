"""EXAONE 3.0 and 3.5 (LG AI Research 2024, arXiv 2408.03541 and 2412.04862).

Llama's form with rotary halves and Llama 3's factors of angles.
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
class ExaoneParams(ScaledRotaryHeads):
    """Hyperparameters of the `exaone` architecture."""


TENSORS: Final = f"""
{parts.EMBEDDING}
rope_freqs.weight?          n_rot/2
{parts.ANY_ATTENTION}
{parts.GATED_FEED_FORWARD}{parts.GATED_FEED_FORWARD_BIASES}
"""


def forward(g: Graph, p: ExaoneParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", w.rope_freqs)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        x = g.add(x, parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"exaone": "EXAONE 3 and 3.5"},
    ExaoneParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
