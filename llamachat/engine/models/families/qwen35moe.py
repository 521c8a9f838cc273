"""Qwen 3.5 and 3.6 with experts, text (Qwen Team 2026): `qwen35` with a mixture and a shared expert with a gate.

Shares are normed again.
"""

from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import delta_net, mixture, parts
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights

TENSORS: Final = f"""
{parts.EMBEDDING}{delta_net.LAYERS}{delta_net.PROJECTIONS}
{mixture.ROUTER}{mixture.EXPERTS}{mixture.SHARED_EXPERT}
blk.*.ffn_gate_inp_shexp.weight    1 n_embd
"""


def forward(g: Graph, p: delta_net.DeltaNetExperts, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    routing = p.routing(normalised=True)
    return delta_net.forward(
        g,
        p,
        w,
        lambda b, x: mixture.feed_forward(g, b, x, routing),
        lambda b, x, layer: delta_net.delta_net(g, p, b, delta_net.projections(g, b, x), layer),
    )


ARCHITECTURE: Final = Architecture(
    {"qwen35moe": "Qwen 3.5 and 3.6 35B-A3B, 122B-A10B and 397B-A17B, text"},
    delta_net.DeltaNetExperts,
    TENSORS,
    forward,
    without_effect=delta_net.WITHOUT_EFFECT,
)
