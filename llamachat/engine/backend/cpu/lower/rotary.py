"""Rotary position embedding, in place."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.rope import Rope
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower


@lower.register
def lower_rope(node: g.Rope, to: Lowering) -> None:
    """Rotates the heads in place: the input must have no other reader."""
    to.for_every_token(node)
    if not to.read_once(node.x):
        raise AssertionError("rope works in place: its input must have no other reader")
    x = to.regions[node] = to.regions[node.x]
    heads, table = node.width // node.head_dim, to.tables.address(node.spec)
    to.launch(
        Rope(node.head_dim, node.spec.n_rot, node.spec.order),
        {"x": x, "table": table, "heads": heads, "stride": to.stride(node.width)},
    )
