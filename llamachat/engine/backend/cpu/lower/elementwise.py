"""Operations number by number, which their operands' kernels often do in passing."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.elementwise import Broadcast, Elementwise, Pointwise
from llamachat.engine.backend.cpu.kernels.norm import lanes_for
from llamachat.engine.backend.cpu.kernels.rows import MODES
from llamachat.engine.backend.cpu.lower.experts import expert_product, mix
from llamachat.engine.backend.cpu.lower.linear import Ending, part_rows, product
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower
from llamachat.engine.backend.cpu.lower.norm import norm
from llamachat.engine.backend.cpu.program import Arguments


@lower.register
def lower_glu(node: g.Glu, to: Lowering) -> None:
    """activation(gate) * up."""
    if not _computed_with_operand(node, to, node.activation):
        _elementwise(node.activation, node.gate, node.up, node, to)


@lower.register
def lower_add(node: g.Add, to: Lowering) -> None:
    """a + b."""
    if not _computed_with_operand(node, to, "residual"):
        _elementwise("add", node.a, node.b, node, to)


@lower.register
def lower_mul(node: g.Mul, to: Lowering) -> None:
    """a * b."""
    if node.b.width == node.width:
        _elementwise("mul", node.a, node.b, node, to)
    else:
        b: Arguments = {"b": to.regions[node.b], "b_stride": to.stride(1)}
        _broadcast("mul", node.a, node, to, b)


@lower.register
def lower_unary(node: g.Unary, to: Lowering) -> None:
    """activation(x)."""
    _pointwise(node.activation, node.x, node, to)


@lower.register
def lower_scale(node: g.Scale, to: Lowering) -> None:
    """x * factor + offset."""
    _pointwise("scale", node.x, node, to, node.factor, node.offset)


@lower.register
def lower_clamp(node: g.Clamp, to: Lowering) -> None:
    """Between low and high."""
    _pointwise("clamp", node.x, node, to, node.low, node.high)


@lower.register
def lower_soft_cap(node: g.SoftCap, to: Lowering) -> None:
    """cap * tanh(x / cap)."""
    _pointwise("soft_cap", node.x, node, to, node.cap)


@lower.register
def lower_add_vector(node: g.AddVector, to: Lowering) -> None:
    """x + vector."""
    _with_vector("add", node, to)


@lower.register
def lower_mul_vector(node: g.MulVector, to: Lowering) -> None:
    """x * vector."""
    _with_vector("mul", node, to)


def _computed_with_operand(node: g.Node, to: Lowering, mode: str) -> bool:
    """Whether the kernel of an operand does it as its last step; where it cannot, that operand is computed here."""
    fusion = to.plan.fusions.get(node)
    if fusion is None:
        return False
    part = fusion.part
    if isinstance(part, g.Norm):
        to.value(node)
        norm(part, to, node, fusion.other)
        return True
    if isinstance(part, g.Mixture):
        mix(part, to, node, fusion.other)
        return True
    if isinstance(part, g.ExpertLinear) and mode in MODES:
        expert_product(part, to, node, mode, fusion.other)
        return True
    rows = part_rows(part, to) if mode in MODES else None
    if rows is None:
        lower(part, to)
        return False
    product(rows[0], to, node, Ending(mode, fusion.other, rows[1]))
    return True


def _elementwise(operation: str, a: g.Node, b: g.Node, out: g.Node, to: Lowering) -> None:
    y, stride = to.value(out), to.stride(out.width)
    to.launch(
        Elementwise(operation),
        {"a": to.regions[a], "b": to.regions[b], "y": y, "count": to.count_of(out), "stride": stride},
    )


def _pointwise(operation: str, x: g.Node, out: g.Node, to: Lowering, p: float = 0.0, q: float = 0.0) -> None:
    """In place where nobody else reads x."""
    places: Arguments = {"x": to.regions[x], "y": to.in_place(out, x)}
    to.launch(
        Pointwise(operation), {**places, "count": to.count_of(out), "stride": to.stride(out.width), "p": p, "q": q}
    )


def _with_vector(operation: str, node: g.AddVector | g.MulVector, to: Lowering) -> None:
    vector = to.weights.vector(node.vector.name) + 4 * node.row * node.width
    _broadcast(operation, node.x, node, to, {"b": vector, "b_stride": 0}, node.is_one_value)


def _broadcast(operation: str, a: g.Node, out: g.Node, to: Lowering, b: Arguments, one_value: bool = True) -> None:
    """With a number for each row, or a vector for all. In place where nobody else reads a."""
    places: Arguments = {"a": to.regions[a], "y": to.in_place(out, a), "count": to.count_of(out)}
    sizes: Arguments = {"width": out.width, "stride": to.stride(out.width)}
    to.launch(Broadcast(operation, one_value, lanes_for(out.width)), {**places, **sizes, **b})
