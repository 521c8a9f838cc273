"""Normalisation of rows, alone or with the addition behind it."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.norm import RmsNorm
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower


@lower.register
def lower_rms_norm(node: g.RmsNorm, to: Lowering) -> None:
    """In place where nobody else reads the input."""
    x = to.regions[node.x]
    to.regions[node] = x if to.read_once(node.x) else to.region(node)
    norm(node, to, node)


def norm(node: g.RmsNorm, to: Lowering, out: g.Node, residual: g.Node | None = None) -> None:
    """The norm, + residual, into the region of `out`."""
    to.launch(
        RmsNorm(node.size, residual is not None),
        {
            "x": to.regions[node.x],
            "y": to.regions[out],
            "other": to.regions[residual] if residual is not None else 0,
            "weight": to.weights.vector(node.weight.name),
            "count": to.count_of(node),
            "groups": node.width // node.size,
            "x_stride": to.stride(node.width),
            "y_stride": to.stride(node.width),
            "eps": node.eps,
        },
    )
