"""What adapters add: products of low rank beside those of the model, and directions."""

from __future__ import annotations

from typing import Final

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.low_rank import (
    AddDirection,
    Down,
    Up,
    chunks_of,
    padded_rank,
    parts_bytes,
)
from llamachat.engine.backend.cpu.kernels.rows import ROWS, whole_rows
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower
from llamachat.engine.backend.cpu.program import Arguments, Region

TOGETHER: Final = 4
"""Tokens of which A's columns are read once."""


@lower.register
def lower_low_rank(node: g.LowRank, to: Lowering) -> None:
    """Down, then up; in place where nobody else reads the base."""
    down, up = (to.weights.packed_beside(tensor.name) for tensor in (node.down, node.up))
    factors = to.weights.packed_beside(node.factors.name)
    rank, n_rows = node.down.shape[-2], to.most_rows(node)
    shape: Arguments = {"chunks": chunks_of(node.x.width), "rank": padded_rank(rank), "count": to.count_of(node)}
    routed = node.chosen is not None
    shape |= {
        "chosen": to.regions[node.chosen] if node.chosen is not None else 0,
        "chosen_row": to.stride(1),
        "parts": Region(parts_bytes(node.x.width, rank, n_rows)),
    }
    read: Arguments = {"x": to.regions[node.x], "width": node.x.width, "stride": to.stride(node.x.width)}
    read |= {"each": node.rows.times // node.x.rows.times, "down": down.address, "expert_bytes": down.expert_bytes}
    spec = Down(down.format, TOGETHER if n_rows >= TOGETHER and not routed else 1, routed)
    to.launch(spec, _only(spec.arguments, {**shape, **read}))
    base = to.regions[node.base]
    y = base if to.read_once(node.base) else to.region(node)
    to.regions[node] = y
    room = 4 * padded_rank(rank)
    written: Arguments = {
        "other": base,
        "y": y,
        "stride": to.stride(node.width),
        "units": whole_rows(node.width) // ROWS,
    }
    written |= {"up": up.address, "expert_bytes": up.expert_bytes, "factors": factors.address, "n_rank": rank}
    written |= {"scratch": Region(room * to.shape.n_threads, private=True), "room": room}
    to.launch(Up(up.format, routed), _only(Up.arguments, {**shape, **written}))


def _only(names: tuple[str, ...], arguments: Arguments) -> Arguments:
    return {name: arguments[name] for name in names}


@lower.register
def lower_direction(node: g.Direction, to: Lowering) -> None:
    """In place where nobody else reads x."""
    x = to.regions[node.x]
    to.regions[node] = x if to.read_once(node.x) else to.region(node)
    direction = to.weights.packed_beside(node.direction.name).address
    given: Arguments = {"x": x, "y": to.regions[node], "count": to.count_of(node), "stride": to.stride(node.width)}
    to.launch(AddDirection(), {**given, "direction": direction})
