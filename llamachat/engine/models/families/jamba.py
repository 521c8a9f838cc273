"""Jamba (Lieber et al. 2024, arXiv 2403.19887): layers of Mamba, some of attention without positions, some experts.

Mamba's steps, b and c are normed with weights; the shares of the experts are not normed again.
"""

from dataclasses import dataclass
from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.graph.experts import MAX_EXPERTS, MAX_USED
from llamachat.engine.models import mixture, parts, state_space
from llamachat.engine.models.params import key
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights


@dataclass(frozen=True)
class JambaParams(state_space.StateSpace, state_space.HybridHeads, mixture.Experts):
    """Hyperparameters of the `jamba` architecture."""

    n_expert: int = key("expert_count", 0, low=0, high=MAX_EXPERTS)
    n_used: int = key("expert_used_count", 0, low=0, high=MAX_USED)
    norm_eps: float = key("attention.layer_norm_rms_epsilon", high=1.0)


OPTIONAL: Final = "".join(  # a layer has experts or not
    f"{line.replace('.weight', '.weight?', 1)}\n" if "ffn_norm" not in line else f"{line}\n"
    for line in (mixture.ROUTER + mixture.EXPERTS + parts.GATED_FEED_FORWARD).splitlines()
)

TENSORS: Final = f"""
{parts.EMBEDDING}
blk.*.attn_norm.weight      n_embd
[attends == 1]
{parts.ATTENTION}
[attends == 0]
{state_space.MAMBA}{state_space.MAMBA_NORMS}
[]
{OPTIONAL}
"""


def forward(g: Graph, p: JambaParams, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    x = g.embed(w.token_embd)
    for layer, b in enumerate(w.blk):
        h = g.rms_norm(x, b.attn_norm, p.norm_eps)
        if p.attends[layer]:
            x = g.add(x, parts.attention(g, p, b, h, layer, None))
        else:
            x = g.add(x, state_space.mamba(g, p, b, h, layer, p.norm_eps))
        h = g.rms_norm(x, b.ffn_norm, p.norm_eps)
        if b.has("ffn_gate_inp"):
            parts.needed(b, layer, "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps")
            x = g.add(x, mixture.mixture(g, b, h, p.routing()))
        else:
            parts.needed(b, layer, "ffn_gate", "ffn_up", "ffn_down")
            x = g.add(x, parts.gated_feed_forward(g, b, h, "silu"))
    return parts.logits(g, w, x, p.norm_eps)


ARCHITECTURE: Final = Architecture(
    {"jamba": "Jamba 1.5, 1.6 and 1.7, Jamba Reasoning 3B"},
    JambaParams,
    TENSORS,
    forward,
    without_effect=parts.NO_RESULT,
)
