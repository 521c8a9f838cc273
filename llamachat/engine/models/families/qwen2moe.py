"""Qwen 1.5 and Qwen 2 with experts (Qwen Team 2024, arXiv 2407.10671).

Biases of queries, keys and values, rotary halves; shares are not normed again; the shared expert has a gate.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import mixture, parts
from llamachat.engine.models.base import ScaledRotaryHeads
from llamachat.engine.models.params import key, same_as
from llamachat.engine.models.rotary import rope_spec
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class Qwen2MoeParams(mixture.Experts, ScaledRotaryHeads):
    """Hyperparameters of the `qwen2moe` architecture."""

    n_ff_expert: int = key("expert_feed_forward_length", mixture.share_of_feed_forward)
    n_ff_shared: int = key("expert_shared_feed_forward_length", same_as("n_ff"))


TENSORS: Final = f"""
{parts.EMBEDDING}
{parts.ANY_ATTENTION}
blk.*.ffn_norm.weight              n_embd
{mixture.ROUTER}{mixture.EXPERTS}{mixture.SHARED_EXPERT}
blk.*.ffn_gate_inp_shexp.weight    1 n_embd
"""


def forward(g: Graph, p: Qwen2MoeParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    rope, routing = rope_spec(p, "halves", None), p.routing()
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        x = g.add(x, parts.attention(g, p, b, g.rms_norm(x, b.attn_norm, p.norm_eps), layer, rope))
        x = g.add(x, mixture.feed_forward(g, b, g.rms_norm(x, b.ffn_norm, p.norm_eps), routing))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"qwen2moe": "Qwen1.5-MoE A2.7B, Qwen2 57B-A14B"}, Qwen2MoeParams, TENSORS, forward, parts.NO_RESULT
)
