"""Rotary position embedding, in place or of a copy."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.activations import TakeRows
from llamachat.engine.backend.cpu.kernels.rope import Rope
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower
from llamachat.engine.backend.cpu.program import Arguments


@lower.register
def lower_rope(node: g.Rope, to: Lowering) -> None:
    """Rotates the heads in place; where others read the input, too (values that are the keys unrotated), of a copy."""
    to.for_every_token(node)
    x, stride = to.regions[node.x], to.stride(node.width)
    if to.read_once(node.x):
        to.regions[node] = x
    else:
        n_rows = to.count_of(node)
        copied: Arguments = {"x": x, "y": to.value(node), "stride": stride, "count": n_rows, "total": n_rows}
        to.launch(TakeRows(), copied)
    heads, table = node.width // node.head_dim, to.tables.address(node.spec)
    to.launch(
        Rope(node.head_dim, node.spec.n_rot, node.spec.order),
        {"x": to.regions[node], "table": table, "heads": heads, "stride": stride},
    )
