"""Short convolutions and token shifts."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.convolution import Convolution, Shift
from llamachat.engine.backend.cpu.kernels.norm import lanes_for
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower
from llamachat.engine.backend.cpu.program import Arguments


@lower.register
def lower_convolution(node: g.Convolution, to: Lowering) -> None:
    """Threads share columns."""
    to.for_every_token(node)
    n, stride = lanes_for(node.width), to.stride(node.width)
    weights: Arguments = {
        "weight": to.weights.vector(node.weight.name),
        "bias": to.weights.vector(node.bias.name) if node.bias is not None else 0,
        "silu": int(node.silu),
    }
    places: Arguments = {"x": to.regions[node.x], "y": to.value(node), "x_stride": stride, "y_stride": stride}
    at = to.cache.recurrent[node.layer, node.state.name]
    to.launch(Convolution(n, node.kernel), {**places, **weights, "at": at, "items": node.width // n})


@lower.register
def lower_shift(node: g.Shift, to: Lowering) -> None:
    """Threads share columns."""
    to.for_every_token(node)
    n, at = lanes_for(node.width), to.cache.recurrent[node.layer, node.name]
    places: Arguments = {"x": to.regions[node.x], "y": to.value(node), "stride": to.stride(node.width)}
    to.launch(Shift(n), {**places, "at": at, "items": node.width // n})
