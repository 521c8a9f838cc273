"""Qwen 3.5 and 3.6, text (Qwen Team 2026): gated delta nets and gated attention, see `delta_net`; SwiGLU."""

from typing import Final

from llamachat.engine.graph import Graph, Node
from llamachat.engine.models import delta_net, parts
from llamachat.engine.models.spec import Architecture
from llamachat.engine.models.tensors import Weights

TENSORS: Final = f"""
{parts.EMBEDDING}{delta_net.LAYERS}{delta_net.PROJECTIONS}{parts.GATE_UP_DOWN}
"""


def forward(g: Graph, p: delta_net.DeltaNet, w: Weights) -> Node:
    """logits [n_tokens, n_vocab]."""
    return delta_net.forward(
        g,
        p,
        w,
        lambda b, x: parts.gated_feed_forward(g, b, x, "silu"),
        lambda b, x, layer: delta_net.delta_net(g, p, b, delta_net.projections(g, b, x), layer),
    )


ARCHITECTURE: Final = Architecture(
    {"qwen35": "Qwen 3.5 and 3.6 0.8B to 27B, text"},
    delta_net.DeltaNet,
    TENSORS,
    forward,
    without_effect=delta_net.WITHOUT_EFFECT,
)
