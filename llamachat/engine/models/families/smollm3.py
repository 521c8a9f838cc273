"""SmolLM 3 (Hugging Face 2025, huggingface.co/HuggingFaceTB/SmolLM3-3B).

Llama's form in which every fourth layer turns nothing (Yang et al. 2025, arXiv 2501.18795).
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import parts
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights

PERIOD: Final = 4
"""The last layer of each so many does not turn; no key says so."""


@dataclass(frozen=True)
class Smollm3Params(ScaledRotaryHeads):
    """Hyperparameters of the `smollm3` architecture."""


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ANY_ATTENTION}
{parts.GATED_FEED_FORWARD}{parts.GATED_FEED_FORWARD_BIASES}
"""


def forward(g: Graph, p: Smollm3Params, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "adjacent", None)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        turned = rope if (layer + 1) % PERIOD else None
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, turned))
        x = g.add(x, parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"smollm3": "SmolLM 3"},
    Smollm3Params,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
