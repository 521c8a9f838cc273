"""OLMoE (Muennighoff et al. 2024, arXiv 2409.02060).

Queries and keys are normed over all heads together, rotary halves; shares are not normed again.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import mixture, parts
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class OlmoeParams(mixture.Experts, ScaledRotaryHeads):
    """Hyperparameters of the `olmoe` architecture."""


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ANY_ATTENTION}
blk.*.attn_q_norm.weight    n_head*head_dim
blk.*.attn_k_norm.weight    n_head_kv*head_dim
blk.*.ffn_norm.weight       n_embd
{mixture.ROUTER}{mixture.EXPERTS}
"""


def forward(g: Graph, p: OlmoeParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope, routing = rope_spec(p, "halves", None), p.routing()
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope, p.norm_eps))
        x = g.add(x, mixture.feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), routing))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture({"olmoe": "OLMoE 1B-7B"}, OlmoeParams, TENSORS, forward, parts.NO_RESULT)
