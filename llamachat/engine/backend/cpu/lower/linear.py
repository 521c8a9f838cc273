"""Products with matrices, alone or with the addition or the gate behind them."""

from __future__ import annotations

from dataclasses import dataclass

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.rows import MODES, ROWS, whole_rows
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower


@dataclass(frozen=True)
class Ending:
    """What a product does with its finished rows: `mode` is one of MODES, `other` what it also reads.

    first: the first row of the matrix that is computed, a multiple of ROWS; how many follows from the width.
    """

    mode: str = ""
    other: g.Node | None = None
    first: int = 0


def product(node: g.Linear, to: Lowering, out: g.Node, ending: Ending) -> None:
    """The product, or some rows of the matrix, into new memory of `out`."""
    matrix = to.weights.matrix(node.weight.name)
    panel, y = to.panel(node.x, matrix.quantised), to.value(out)
    direct = matrix.is_direct(to.shape.columns, to.shape.max_tokens)
    scale = to.weights.number(node.scale.name) if node.scale is not None else 1.0
    bias = to.weights.vector(node.bias.name) + 4 * ending.first if node.bias else 0
    if not bias and (scale, node.factor) != (1, 1):
        bias = to.weights.zeros(out.width)
    to.launch(
        matrix.product(to.shape.columns, direct),
        {
            "tiles": matrix.tiles + node.part * matrix.expert_bytes + ending.first // ROWS * matrix.unit_bytes,
            "x": panel,
            "y": y,
            "other": to.regions[ending.other] if ending.other is not None else 0,
            "mode": MODES[ending.mode],
            "scale": scale,
            "factor": node.factor,
            "bias": bias,
            "count": to.count_of(node),
            "units": whole_rows(out.width) // ROWS,
            "blocks": matrix.blocks,
            "stride": to.stride(out.width),
            "scratch": to.product_scratch(matrix.scratch_bytes) if matrix.quantised and not direct else 0,
            "room": 0,
        },
    )


def part_rows(part: g.Node, to: Lowering) -> tuple[g.Linear, int] | None:
    """The product whose rows make a value, and the first of them; None where they do not begin with a unit of rows.

    part: a product, or columns of one that the plan lets its readers compute.
    """
    if isinstance(part, g.Linear):
        return part, 0
    assert isinstance(part, g.Columns)
    whole = part.x
    assert isinstance(whole, g.Linear)
    return (whole, part.first) if part.first % ROWS == 0 else None


@lower.register
def lower_linear(node: g.Linear, to: Lowering) -> None:
    """x W^T + bias."""
    product(node, to, node, Ending())
