"""Token embeddings."""

from dataclasses import dataclass

from llamachat.engine.graph.node import Node, Role, Tensor, Use


@dataclass(frozen=True, eq=False)
class Embed(Node):
    """Rows of `table` [n_vocab, width] chosen by the token ids, times `factor`."""

    table: Tensor
    factor: float

    @property
    def weights(self) -> tuple[Use, ...]:
        """The table."""
        return (Use(self.table, Role.TABLE),)
