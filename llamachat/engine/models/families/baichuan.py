"""Baichuan and Baichuan 2 (Yang et al. 2023, arXiv 2309.10305).

Llama's form. The 13B model, recognised by its number of layers, has slopes (ALiBi) in place of the rotation. The
converter takes the fused projection of the original apart.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.graph.attention import alibi_slopes
from llamachat.engine.models import parts
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights

LAYERS_OF_13B: Final = 40


@dataclass(frozen=True)
class BaichuanParams(ScaledRotaryHeads):
    """Hyperparameters of the `baichuan` architecture."""


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ANY_ATTENTION}
{parts.GATED_FEED_FORWARD}{parts.GATED_FEED_FORWARD_BIASES}
"""


def forward(g: Graph, p: BaichuanParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    alibi = p.n_layer == LAYERS_OF_13B
    rope = None if alibi else rope_spec(p, "adjacent", None)
    slopes = alibi_slopes(p.n_head, 8.0) if alibi else ()
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        h = g.rms_norm(x, b.attn_norm, p.norm_eps)
        x = g.add(x, parts.attention(g, p, b, h, layer, rope, slopes=slopes))
        x = g.add(x, parts.gated_feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"baichuan": "Baichuan 1 and 2, 7B and 13B"},
    BaichuanParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
