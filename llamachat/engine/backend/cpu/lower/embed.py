"""Token embeddings: rows that were copied from the file."""

from __future__ import annotations

from llamachat.engine import graph as g
from llamachat.engine.backend.cpu.kernels.embed import Embed
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
