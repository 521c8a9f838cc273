"""ERNIE 4.5 with experts (Baidu 2025, technical report of ERNIE 4.5).

Llama's attention; every `step`-th layer has experts but for the first ones. A bias counts in the choice of experts.
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
class Ernie45MoeParams(mixture.Experts, ScaledRotaryHeads):
    """Hyperparameters of the `ernie4_5-moe` architecture."""

    step: int = key("interleave_moe_layer_step")
    n_dense: int = key("leading_dense_block_count", 0, low=0)
    n_ff_shared: int = key("expert_shared_feed_forward_length", 0, low=0)


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ANY_ATTENTION}
blk.*.ffn_norm.weight       n_embd
[layer >= n_dense and layer+1%step == 0]
{mixture.ROUTER}{mixture.EXPERTS}
blk.*.exp_probs_b.bias?     n_expert
[layer >= n_dense and layer+1%step == 0 and n_ff_shared > 0]
{mixture.SHARED_EXPERT}
[layer < n_dense]
{parts.GATED_FEED_FORWARD}
[layer+1%step != 0]
{parts.GATED_FEED_FORWARD}
"""


def forward(g: Graph, p: Ernie45MoeParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope, routing = rope_spec(p, "adjacent", None), p.routing(normalised=True)
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        x = g.add(x, mixture.feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), routing))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"ernie4_5-moe": "ERNIE 4.5 21B-A3B and 300B-A47B"},
    Ernie45MoeParams,
    TENSORS,
    forward,
    parts.NO_RESULT | {"expert_shared_count": "the shared experts are one matrix, whose size another key says"},
)
