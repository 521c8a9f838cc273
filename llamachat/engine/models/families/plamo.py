"""PLaMo (Preferred Networks 2023, huggingface.co/pfnet/plamo-13b).

Llama's form with one norm in a layer, whose value both branches read, and rotary halves.
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
class PlamoParams(ScaledRotaryHeads):
    """Hyperparameters of the `plamo` architecture."""


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ANY_ATTENTION}
{parts.GATE_UP_DOWN}
"""


def forward(g: Graph, p: PlamoParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        h = g.rms_norm(x, b.attn_norm, p.norm_eps)
        x = g.add(x, parts.attention(g, p, b, h, layer, rope))
        x = g.add(x, parts.gated_feed_forward(g, b, h, "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"plamo": "PLaMo 13B"},
    PlamoParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
