"""Mixtures of experts: routing token by token, products grouped by expert, and the mixture of each token's pairs."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.experts import (
    Arrange,
    ClampedGlu,
    ExpertProduct,
    FloatExpertProduct,
    GatherPanels,
    Layout,
    Mix,
    ScaleRows,
)
from llamachat.engine.backend.cpu.kernels.panel import panel_bytes
from llamachat.engine.backend.cpu.kernels.routing import CHOSEN, LOGITS, SIGMOID, SOFTMAX, Choose, Weigh
from llamachat.engine.backend.cpu.kernels.rows import MODES
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower
from llamachat.engine.backend.cpu.program import Arguments, Region
from llamachat.engine.backend.cpu.weights import Matrix

FEW = 4
"""Columns of a panel where an expert has a few pairs."""

SCORINGS = {"softmax": SOFTMAX, "sigmoid": SIGMOID, "chosen": CHOSEN}


@lower.register
def lower_choice(node: g.Choice, to: Lowering) -> None:
    """Logits are in the order of scores, which therefore need not be computed for a choice without bias and groups."""
    how = node.routing
    plain = how.scoring == "chosen" or (node.bias is None and how.n_group == 1)
    rows: Arguments = {"stride": to.stride(node.logits.width), "row": to.stride(1), "count": to.count_of(node.logits)}
    sizes: Arguments = {"n_expert": node.logits.width, "n_used": how.n_used}
    groups: Arguments = {"groups": how.n_group, "groups_used": how.n_group_used}
    given: Arguments = {
        "logits": to.regions[node.logits],
        "bias": to.weights.vector(node.bias.name) if node.bias else 0,
        "chosen": to.value(node),
        "scoring": LOGITS if plain else SCORINGS[how.scoring],
    }
    to.launch(Choose(), {**given, **rows, **sizes, **groups})


def _prepare(chosen: g.Node, to: Lowering) -> None:
    """The arrangement, and what products read of tokens one by one: here they wait for nothing but the choice."""
    for node in to.readers(chosen):
        if isinstance(node, g.ExpertLinear) and node.x in to.regions:
            matrix = to.weights.matrix(node.weight.name)
            columns = _columns(to, chosen, matrix)
            _arranged(to, chosen, matrix.n_experts, columns)
            if columns == 1 and node.x.rows == g.TOKENS:
                to.panel(node.x, matrix.quantised, 1)


@lower.register
def lower_share(node: g.Share, to: Lowering) -> None:
    """For the pairs of a token."""
    how = node.routing
    rows: Arguments = {"stride": to.stride(node.logits.width), "row": to.stride(1), "count": to.count_of(node.logits)}
    given: Arguments = {
        "logits": to.regions[node.logits],
        "chosen": to.regions[node.chosen],
        "y": to.value(node),
        "n_expert": node.logits.width,
        "n_used": how.n_used,
        "scoring": SCORINGS[how.scoring],
        "normalised": int(how.normalised),
        "scale": how.scale,
    }
    to.launch(Weigh(), {**given, **rows})
    _prepare(node.chosen, to)


@lower.register
def lower_expert_linear(node: g.ExpertLinear, to: Lowering) -> None:
    """x W^T + bias of each pair's expert."""
    expert_product(node, to, node)


def expert_product(
    node: g.ExpertLinear, to: Lowering, out: g.Node, mode: str = "", other: g.Node | None = None
) -> None:
    """The product into new memory of `out`; mode: one of MODES, which also reads `other`."""
    matrix, each = to.weights.matrix(node.weight.name), node.rows.times // node.x.rows.times
    columns = _columns(to, node.chosen, matrix)
    layout, order = _arranged(to, node.chosen, matrix.n_experts, columns)
    units = -(-node.width // g.experts.UNIT)
    bias = to.weights.vector(node.bias.name) if node.bias else to.weights.zeros(node.width) if node.scale else 0
    direct = columns <= FEW
    kernel = ExpertProduct(matrix.format, columns, direct) if matrix.quantised else _floats(matrix, columns)
    to.launch(
        kernel,
        {
            "tiles": matrix.tiles + node.first // g.experts.UNIT * matrix.unit_bytes,
            "expert_bytes": matrix.expert_bytes,
            "x": _panels(to, node, matrix.quantised, layout, order),
            "y": to.value(out),
            "bias": bias,
            "bias_stride": 4 * node.width if node.bias else 0,
            "scales": to.weights.vector(node.scale.name) if node.scale else 0,
            "other": to.regions[other] if other is not None else 0,
            "mode": MODES[mode],
            "order": order,
            "pairs": layout.pairs,
            "each": each,
            "units": units,
            "blocks": matrix.blocks,
            "stride": to.stride(node.width),
            "scratch": to.product_scratch(matrix.scratch_bytes) if matrix.quantised and not direct else 0,
            "room": 0,
        },
    )


def _floats(matrix: Matrix, columns: int) -> FloatExpertProduct:
    return FloatExpertProduct(matrix.format, columns)


def _columns(to: Lowering, chosen: g.Node, matrix: Matrix) -> int:
    """Columns of panels, by how many pairs an expert has on average when the step is as large as it may be."""
    pairs, widest = to.most_rows(chosen) / matrix.n_experts, to.isa.columns
    if pairs >= 2 * widest:
        return widest
    return min(FEW, widest) if pairs >= FEW - 1 else 1


def _arranged(to: Lowering, chosen: g.Node, n_expert: int, columns: int) -> tuple[Layout, Region]:
    """The pairs sorted by expert, once for all products of a choice."""
    layout, key = Layout(n_expert, to.most_rows(chosen), columns), (chosen, n_expert, columns)
    if key not in to.shared:
        order = to.shared[key] = Region(layout.bytes)
        given: Arguments = {"chosen": to.regions[chosen], "order": order, "count": to.count_of_tokens()}
        places: Arguments = {"counts": layout.counts, "pairs": layout.pairs, "nobody": to.nobody(chosen)}
        sizes: Arguments = {"row": to.stride(1), "n_expert": n_expert, "columns": columns, "n_used": chosen.rows.times}
        to.launch(Arrange(to.shape.max_tokens == 1), {**given, **places, **sizes})
    return layout, to.shared[key]


def _panels(to: Lowering, node: g.ExpertLinear, quantised: bool, layout: Layout, order: Region) -> Region:
    """What products read of x: its own rows one by one, or panels of the arrangement."""
    if layout.columns == 1:
        return to.panel(node.x, quantised, 1)
    key = (node.x, node.chosen, quantised, layout.columns)
    if key not in to.shared:
        panels = Region(panel_bytes(node.x.width, layout.n_columns, layout.columns))
        to.shared[key] = panels
        given: Arguments = {"x": to.regions[node.x], "order": order, "panels": panels, "pairs": layout.pairs}
        rows: Arguments = {"nobody": to.nobody(node.chosen), "each": node.rows.times // node.x.rows.times}
        sizes: Arguments = {"width": node.x.width, "stride": to.stride(node.x.width)}
        to.launch(GatherPanels(layout.columns, quantised), {**given, **rows, **sizes})
    return to.shared[key]


@lower.register
def lower_mixture(node: g.Mixture, to: Lowering) -> None:
    """The sums of tokens' pairs."""
    mix(node, to, node)


def mix(node: g.Mixture, to: Lowering, out: g.Node, residual: g.Node | None = None) -> None:
    """The sums, + residual, into new memory of `out`."""
    stride = to.stride(node.width)
    given: Arguments = {
        "x": to.regions[node.x],
        "share": to.regions[node.share] if node.share is not None else 0,
        "other": to.regions[residual] if residual is not None else 0,
        "y": to.value(out),
    }
    sizes: Arguments = {"n_used": node.x.rows.times, "stride": stride, "share_row": to.stride(1)}
    to.launch(Mix(), {**given, **sizes, "count": to.count_of(node)})


@lower.register
def lower_scale_rows(node: g.ScaleRows, to: Lowering) -> None:
    """Rows of tokens for each of their pairs."""
    given: Arguments = {"x": to.regions[node.x], "share": to.regions[node.share], "y": to.value(node)}
    rows: Arguments = {"count": to.count_of(node), "each": node.rows.times // node.x.rows.times}
    to.launch(ScaleRows(), {**given, **rows, "stride": to.stride(node.width), "share_row": to.stride(1)})


@lower.register
def lower_clamped_glu(node: g.ClampedGlu, to: Lowering) -> None:
    """Number by number."""
    given: Arguments = {"gate": to.regions[node.gate], "up": to.regions[node.up], "y": to.value(node)}
    sizes: Arguments = {"count": to.count_of(node), "stride": to.stride(node.width)}
    to.launch(ClampedGlu(), {**given, **sizes, "alpha": node.alpha, "limit": node.limit})
