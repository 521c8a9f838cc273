"""Operations number by number, which their operands' kernels often do in passing."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.activations import Elementwise
from llamachat.engine.backend.cpu.lower.linear import product
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower
from llamachat.engine.backend.cpu.lower.norm import norm


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


def _computed_with_operand(node: g.Node, to: Lowering, mode: str) -> bool:
    """Whether the kernel of an operand does it as its last step."""
    fusion = to.plan.fusions.get(node)
    if fusion is None:
        return False
    if isinstance(fusion.part, g.RmsNorm):
        to.value(node)
        norm(fusion.part, to, node, fusion.other)
        return True
    assert isinstance(fusion.part, g.Linear)
    product(fusion.part, to, node, mode, fusion.other)
    return True


def _elementwise(operation: str, a: g.Node, b: g.Node, out: g.Node, to: Lowering) -> None:
    y, stride = to.value(out), to.stride(out.width)
    to.launch(
        Elementwise(operation),
        {"a": to.regions[a], "b": to.regions[b], "y": y, "count": to.count_of(out), "stride": stride},
    )
