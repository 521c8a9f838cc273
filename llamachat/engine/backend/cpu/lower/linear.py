"""Products with matrices, alone or with the addition or the gate behind them."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.rows import MODES
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower


@lower.register
def lower_linear(node: g.Linear, to: Lowering) -> None:
    """x W^T + bias."""
    product(node, to, node)


def product(node: g.Linear, to: Lowering, out: g.Node, mode: str = "", other: g.Node | None = None) -> None:
    """The product into new memory of `out`; mode: one of MODES, which also reads `other`."""
    matrix = to.weights.matrix(node.weight.name)
    panel, y = to.panel(node.x, matrix.quantised), to.value(out)
    direct = matrix.is_direct(to.shape.columns, to.shape.max_tokens)
    to.launch(
        matrix.product(to.shape.columns, direct),
        {
            "tiles": matrix.tiles + node.part * matrix.expert_bytes,
            "x": panel,
            "y": y,
            "other": to.regions[other] if other is not None else 0,
            "mode": MODES[mode],
            "bias": to.weights.vector(node.bias.name) if node.bias else 0,
            "count": to.count_of(node),
            "units": matrix.units,
            "blocks": matrix.blocks,
            "stride": to.stride(node.width),
            "scratch": to.product_scratch(matrix.scratch_bytes) if matrix.quantised and not direct else 0,
            "room": 0,
        },
    )
