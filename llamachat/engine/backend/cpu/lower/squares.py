"""Sums of squares, in the sequence's memory; threads share columns."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.norm import lanes_for
from llamachat.engine.backend.cpu.kernels.squares import Squares
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower
from llamachat.engine.backend.cpu.program import Arguments
from llamachat.errors import Unsupported


@lower.register
def lower_squares(node: g.Squares, to: Lowering) -> None:
    """The value is x. Raises Unsupported for rows that are no tokens, or those of experts."""
    if node.x.rows.most or to.count_name != "n_tokens":
        raise Unsupported("the processor's backend sums squares for all tokens of a step, not for other rows")
    x = to.regions[node] = to.regions[node.x]
    n, spec = lanes_for(node.width), node.state
    places: Arguments = {"x": x, "stride": to.stride(node.width), "count": to.count_of(node.chosen or node.x)}
    if node.chosen is not None:
        places |= {"chosen": to.regions[node.chosen], "row": to.stride(1)}
        places["each"] = node.chosen.rows.times // node.x.rows.times
        places["pairs"] = node.chosen.rows.times
    else:
        places |= {"chosen": 0, "row": 0, "each": 1, "pairs": node.x.rows.times}
    places["n_expert"] = node.n_expert
    at = to.cache.recurrent[spec.layer, spec.name]
    to.launch(Squares(n, node.chosen is not None), {**places, "at": at, "items": node.width // n})
