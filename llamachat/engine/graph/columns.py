"""Columns of values: parts of a fused projection, and values side by side."""

from dataclasses import dataclass

from llamachat.engine.graph.node import Node
from llamachat.engine.graph.shapes import floats, same_rows, same_width
from llamachat.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Columns(Node):
    """Of every group of `size` neighbouring columns of x the `n` from `first` on; size x.width: a slice of each row."""

    x: Node
    size: int
    first: int
    n: int

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        if not 0 <= self.first < self.first + self.n <= self.size or self.x.width % self.size:
            said = f"columns {self.first} to {self.first + self.n} of groups of {self.size} in {self.x.width}"
            raise ShapeError(f"there are no {said}", where="columns")
        same_width(self.width, self.x.width // self.size * self.n, "columns")
        floats("columns", self.x)


@dataclass(frozen=True, eq=False)
class Concat(Node):
    """`groups` times: the next columns of a, then the next of b; b has as many groups, or one that serves all."""

    a: Node
    b: Node
    groups: int = 1
    b_serves_all: bool = False

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        same_rows(self.a, self.b, "concat")
        floats("concat", self.a, self.b)
        if self.a.width % self.groups or (not self.b_serves_all and self.b.width % self.groups):
            raise ShapeError(f"{self.a.width} and {self.b.width} are not {self.groups} groups", where="concat")
        same_width(self.width, self.groups * (self.a_size + self.b_size), "concat")

    @property
    def a_size(self) -> int:
        """Columns of a in a group."""
        return self.a.width // self.groups

    @property
    def b_size(self) -> int:
        """Columns of b in a group."""
        return self.b.width if self.b_serves_all else self.b.width // self.groups
