"""Values that do not come from tokens."""

from dataclasses import dataclass

from llamachat.engine.graph.node import Node, Number, Rows
from llamachat.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Given(Node):
    """Values [rows, width] that a caller brings with the tokens under this name: outputs of an encoder, for instance.

    kind: what their rows stand for; it has a number of its own. Where nothing is brought there are no rows.
    """

    name: str
    kind: Rows
    of: Number = Number.FLOAT

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        if not self.kind.most:
            raise ShapeError("values that are given need rows with a number of their own", where=self.name)

    @property
    def rows(self) -> Rows:
        """Those of its kind."""
        return self.kind

    @property
    def number(self) -> Number:
        """As it was said."""
        return self.of
