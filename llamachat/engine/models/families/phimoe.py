"""Phi 3.5 MoE (Microsoft 2024, arXiv 2404.14219).

Phi 3's attention with biases and factors of angles by the context's size (LongRoPE); norms are RMS norms with biases.
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
class PhiMoeParams(mixture.Experts, ScaledRotaryHeads):
    """Hyperparameters of the `phimoe` architecture."""

    rope_scaling: str = key("rope.scaling.type", "linear", only=("none", "linear", "yarn", "longrope"))


TENSORS: Final = f"""
{parts.EMBEDDING}
output_norm.bias                n_embd
output.bias?                    n_vocab
rope_factors_short.weight?      n_rot/2
rope_factors_long.weight?       n_rot/2
{parts.ANY_ATTENTION}
blk.*.attn_norm.bias            n_embd
blk.*.ffn_norm.weight           n_embd
blk.*.ffn_norm.bias             n_embd
{mixture.ROUTER}{mixture.EXPERTS}
"""


def forward(g: Graph, p: PhiMoeParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "halves", w.rope_factors_short, w.rope_factors_long)
    routing = p.routing(normalised=True)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        x = g.add(x, mixture.mixture(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), routing))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"phimoe": "Phi-3.5-MoE"},
    PhiMoeParams,
    TENSORS,
    forward,
    parts.NO_RESULT | {"attention.sliding_window": "it is as long as the context"},
)
