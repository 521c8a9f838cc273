"""Time mixing of RWKV: states in the sequence's memory, threads share heads."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.norm import lanes_for
from llamachat.engine.backend.cpu.kernels.recurrent import chains_of
from llamachat.engine.backend.cpu.kernels.rwkv import MOST_DIMENSIONS, Mix, Wkv6, Wkv7
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower
from llamachat.engine.backend.cpu.program import Arguments
from llamachat.errors import Unsupported


@lower.register
def lower_mix(node: g.Mix, to: Lowering) -> None:
    """Threads share rows."""
    share = to.weights.vector(node.share.name) + 4 * node.row * node.width if node.share is not None else 0
    operands: Arguments = {
        "x": to.regions[node.x],
        "other": to.regions[node.other],
        "more": to.regions[node.more] if node.more is not None else 0,
        "share": share,
    }
    sizes: Arguments = {"count": to.count_of(node), "width": node.width, "stride": to.stride(node.width)}
    to.launch(Mix(lanes_for(node.width)), {**operands, **sizes, "y": to.value(node)})


@lower.register
def lower_wkv6(node: g.Wkv6, to: Lowering) -> None:
    """With the norm behind it."""
    own: Arguments = {"first": _vector(node.first, to), "scale": node.scale}
    to.launch(
        Wkv6(lanes_for(node.head_dim), chains_of(node.head_dim), node.first is None), {**_common(node, to), **own}
    )


@lower.register
def lower_wkv7(node: g.Wkv7, to: Lowering) -> None:
    """With the norm and the bonus behind it."""
    vectors = {name: _vector(getattr(node, name), to) for name in ("direct", "replace", "bonus")}
    to.launch(
        Wkv7(lanes_for(node.head_dim), chains_of(node.head_dim)),
        {**_common(node, to), "rate": to.regions[node.rate], **vectors},
    )


def _common(node: g.Wkv6 | g.Wkv7, to: Lowering) -> Arguments:
    """What both have."""
    to.for_every_token(node)
    if node.head_dim > MOST_DIMENSIONS:
        raise Unsupported(f"the processor's backend mixes heads of {MOST_DIMENSIONS} dimensions, not more")
    operands: Arguments = {name: to.regions[getattr(node, name)] for name in ("r", "w", "k", "v")}
    return operands | {
        "norm": _vector(node.norm, to),
        "norm_bias": _vector(node.norm_bias, to),
        "y": to.value(node),
        "at": to.cache.recurrent[node.layer, node.state.name],
        "items": node.width // node.head_dim,
        "n_key": node.head_dim,
        "stride": to.stride(node.width),
        "eps": node.eps,
    }


def _vector(tensor: g.Tensor | None, to: Lowering) -> int:
    return to.weights.vector(tensor.name) if tensor is not None else 0
