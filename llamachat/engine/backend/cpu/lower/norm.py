"""Normalisation of rows, alone or with the addition behind it."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.norm import Norm
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower


@lower.register
def lower_norm(node: g.Norm, to: Lowering) -> None:
    """In place where nobody else reads the input."""
    to.in_place(node, node.x)
    norm(node, to, node)


def norm(node: g.Norm, to: Lowering, out: g.Node, residual: g.Node | None = None) -> None:
    """The norm, + residual, into the region of `out`."""
    weight, bias = (to.weights.vector(v.name) if v is not None else 0 for v in (node.weight, node.bias))
    weight_group, bias_group = (
        4 * node.size if v is not None and node.each_its_own(v) else 0 for v in (node.weight, node.bias)
    )
    to.launch(
        Norm(node.kind, node.size, node.weight is not None, node.bias is not None, residual is not None),
        {
            "x": to.regions[node.x],
            "y": to.regions[out],
            "other": to.regions[residual] if residual is not None else 0,
            "weight": weight,
            "bias": bias,
            "weight_group": weight_group,
            "bias_group": bias_group,
            "count": to.count_of(node),
            "groups": node.width // node.size,
            "x_stride": to.stride(node.width),
            "y_stride": to.stride(node.width),
            "eps": node.eps,
        },
    )
