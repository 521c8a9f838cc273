"""What positions make of rows, in place or of a copy."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.activations import TakeRows
from llamachat.engine.backend.cpu.kernels.rope import Rope, Temperature
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower
from llamachat.engine.backend.cpu.program import Arguments


@lower.register
def lower_rope(node: g.Rope, to: Lowering) -> None:
    """Rotates the heads in place; where others read the input, too (values that are the keys unrotated), of a copy."""
    _own(node, node.x, to)
    heads, table = node.width // node.head_dim, to.tables.address(node.spec)
    to.launch(
        Rope(node.head_dim, node.spec.n_rot, node.spec.order),
        {"x": to.regions[node], "table": table, "heads": heads, "stride": to.stride(node.width)},
    )


@lower.register
def lower_temperature(node: g.Temperature, to: Lowering) -> None:
    """Multiplies rows in place."""
    _own(node, node.x, to)
    size: Arguments = {"width": node.width, "stride": to.stride(node.width)}
    to.launch(Temperature(), {"x": to.regions[node], "table": to.tables.address(node.spec), **size})


def _own(node: g.Node, x: g.Node, to: Lowering) -> None:
    """The value of x, one row for every token, where the node may write over it."""
    to.for_every_token(node)
    if to.read_once(x):
        to.regions[node] = to.regions[x]
        return
    n_rows = to.count_of(node)
    copied: Arguments = {"x": to.regions[x], "y": to.value(node), "stride": to.stride(node.width)}
    to.launch(TakeRows(), {**copied, "count": n_rows, "total": n_rows})
