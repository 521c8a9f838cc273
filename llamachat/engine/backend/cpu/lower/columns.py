"""Columns of values: rows of a product, or copied."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.columns import CopyColumns
from llamachat.engine.backend.cpu.kernels.norm import lanes_for
from llamachat.engine.backend.cpu.lower.linear import Ending, part_rows, product
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower
from llamachat.engine.backend.cpu.program import Arguments


@lower.register
def lower_columns(node: g.Columns, to: Lowering) -> None:
    """Their rows of the product, where the plan says so and they begin with a unit; else a copy of them."""
    if node in to.plan.fusions:
        rows = part_rows(node, to)
        if rows is not None:
            product(rows[0], to, node, Ending(first=rows[1]))
            return
        if node.x not in to.regions:
            lower(node.x, to)
    to.value(node)
    sizes = {"groups": node.x.width // node.size, "n": node.n, "x_first": 4 * node.first, "y_first": 0}
    _copy(node.x, node, to, {**sizes, "x_group": 4 * node.size, "y_group": 4 * node.n})


@lower.register
def lower_concat(node: g.Concat, to: Lowering) -> None:
    """A copy of both."""
    to.value(node)
    groups: Arguments = {"groups": node.groups, "x_first": 0, "y_group": 4 * (node.a_size + node.b_size)}
    _copy(node.a, node, to, {**groups, "n": node.a_size, "x_group": 4 * node.a_size, "y_first": 0})
    b_group = 0 if node.b_serves_all else 4 * node.b_size
    _copy(node.b, node, to, {**groups, "n": node.b_size, "x_group": b_group, "y_first": 4 * node.a_size})


def _copy(x: g.Node, out: g.Node, to: Lowering, sizes: Arguments) -> None:
    n = sizes["n"]
    assert isinstance(n, int)
    places: Arguments = {"x": to.regions[x], "y": to.regions[out], "count": to.count_of(out)}
    strides: Arguments = {"x_stride": to.stride(x.width), "y_stride": to.stride(out.width)}
    to.launch(CopyColumns(lanes_for(n)), {**places, **strides, **sizes})
