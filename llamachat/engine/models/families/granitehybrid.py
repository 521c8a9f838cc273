"""Granite 4 hybrids (IBM 2025): Mamba 2, attention in some layers, mostly without positions, with experts or none.

Multipliers of embeddings, of what each branch adds, of attention scores and of logits, as in `granite`.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import mixture, parts, state_space
from llamachat.engine.models.families.granite import GraniteParams
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class GraniteHybridParams(state_space.GroupedStateSpace, state_space.HybridHeads, GraniteParams):
    """Hyperparameters of the `granitehybrid` architecture."""


TENSORS: Final = f"""
{parts.EMBEDDING}
blk.*.attn_norm.weight      n_embd
[attends == 1]
{parts.ATTENTION}{parts.ATTENTION_BIASES}
[attends == 0]
{state_space.MAMBA_2}{state_space.MAMBA_2_NORM}
[]
blk.*.ffn_norm.weight       n_embd
[n_expert == 0]
{parts.GATE_UP_DOWN}{parts.GATED_FEED_FORWARD_BIASES}
[n_expert > 0]
{mixture.ROUTER}{mixture.EXPERTS}
[n_expert > 0 and n_ff_shared > 0]
{mixture.SHARED_EXPERT}
"""


def forward(g: Graph, p: GraniteHybridParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope = rope_spec(p, "adjacent", None) if p.turns else None
    routing = p.routing(normalised=True)
    scale, times = p.attention_scale or p.head_dim**-0.5, p.residual_scale or 1.0
    x = g.embed(w.token_embd, p.embedding_scale or 1.0)
    for layer, b in enumerate(w.blk):
        h = g.rms_norm(x, b.attn_norm, p.norm_eps)
        if p.attends[layer]:
            h = parts.attention(g, p, b, h, layer, rope, scale=scale)
        else:
            h = state_space.mamba_2(g, p, b, h, layer, p.norm_eps)
        x = g.add(x, g.scale(h, times))
        x = g.add(x, mixture.feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), routing, times))
    return parts.logits(g, w, x, p.norm_eps, factor=1 / p.logit_scale)


ARCHITECTURE: Final = Architecture(
    {"granitehybrid": "Granite 4.0 H Micro, Tiny and Small"},
    GraniteHybridParams,
    TENSORS,
    forward,
    parts.NO_RESULT,
)
