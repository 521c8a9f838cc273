"""Embeddings of tokens, whose rows were copied from the file, and of positions."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.embed import AddPositions, Embed
from llamachat.engine.backend.cpu.kernels.norm import lanes_for
from llamachat.engine.backend.cpu.lower.lowering import Lowering, lower


@lower.register
def lower_embed(node: g.Embed, to: Lowering) -> None:
    """Decodes a row for each token."""
    to.for_every_token(node)
    table = to.weights.table(node.table.name)
    n_rows, n_columns = table.shape
    to.launch(
        Embed(table.type.name),
        {
            "table": to.rows.address(node.table.name),
            "y": to.value(node),
            "row_bytes": table.n_bytes // n_rows,
            "blocks": n_columns // table.type.block,
            "stride": to.stride(node.width),
            "factor": node.factor,
        },
    )


@lower.register
def lower_add_positions(node: g.AddPositions, to: Lowering) -> None:
    """In place where nobody else reads the input; `Context` lets no position be later than the table's last."""
    to.for_every_token(node)
    to.launch(
        AddPositions(lanes_for(node.width)),
        {
            "x": to.regions[node.x],
            "y": to.in_place(node, node.x),
            "table": to.weights.vector(node.table.name),
            "width": node.width,
            "stride": to.stride(node.width),
        },
    )
