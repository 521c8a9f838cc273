"""Multi-head latent attention (DeepSeek-AI 2024, arXiv 2405.04434): one short vector per token serves all heads.

The matrices that would expand it into keys and values multiply queries and outputs instead (section 2.1.3, "absorbed"),
so that attention reads the cached vectors as they are.
"""

from dataclasses import dataclass

from llamachat.engine.graph.node import Node, Role, Tensor, Use
from llamachat.engine.graph.rotary import RopeSpec
from llamachat.engine.graph.shapes import floats, same_width
from llamachat.engine.state.spec import KeyValueSpec
from llamachat.errors import ShapeError


@dataclass(frozen=True)
class HeadMatrices:
    """A matrix for each head out of one tensor, seen as [n_head, rows, columns]: `n` of its rows, from `first` on.

    transposed: multiplied from the other side, so that these rows are what comes in.
    """

    tensor: Tensor
    n_head: int
    first: int
    n: int
    transposed: bool = False

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        if self.size % self.n_head or not 0 <= self.first < self.first + self.n <= self.rows:
            said = f"{self.n_head} heads have no rows {self.first} to {self.first + self.n}"
            raise ShapeError(said, where=self.tensor.name)

    @property
    def size(self) -> int:
        """Rows of the tensor."""
        rows = 1
        for one in self.tensor.shape[:-1]:
            rows *= one
        return rows

    @property
    def rows(self) -> int:
        """Rows of a head."""
        return self.size // self.n_head

    @property
    def n_in(self) -> int:
        """Numbers of a head that come in."""
        return self.n if self.transposed else self.tensor.shape[-1]

    @property
    def n_out(self) -> int:
        """Numbers of a head that come out."""
        return self.tensor.shape[-1] if self.transposed else self.n


@dataclass(frozen=True, eq=False)
class HeadLinear(Node):
    """Each head of x times a matrix of its own: x [n, n_head*n_in]: [n, n_head*n_out]."""

    x: Node
    matrices: HeadMatrices

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        one = self.matrices
        same_width(self.x.width, one.n_head * one.n_in, one.tensor.name)
        same_width(self.width, one.n_head * one.n_out, one.tensor.name)
        floats(one.tensor.name, self.x)

    @property
    def weights(self) -> tuple[Use, ...]:
        """The tensor, of which a token reads its heads' rows."""
        return (Use(self.matrices.tensor, Role.HEADS, self.matrices.n / self.matrices.rows),)

    @property
    def operations(self) -> int:
        """A multiplication and an addition for each weight."""
        return 2 * self.width * self.matrices.n_in


@dataclass(frozen=True, eq=False)
class LatentAttention(Node):
    """softmax(q k^T * scale) v over the sequence's tokens up to the token itself; v is k without its first n_rot.

    q [n_tokens, n_head*head_dim], k [n_tokens, head_dim]: [n_tokens, n_head*(head_dim - n_rot)]. k is kept as state of
    `layer`, once: values are read out of it. rotation: of the first n_rot numbers of q's heads and of k.
    """

    q: Node
    k: Node
    layer: int
    n_head: int
    scale: float
    rotation: RopeSpec

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        where = f"latent attention of layer {self.layer}"
        same_width(self.q.width, self.n_head * self.head_dim, where)
        same_width(self.width, self.n_head * self.value_dim, where)
        floats(where, self.q, self.k)

    @property
    def head_dim(self) -> int:
        """Numbers of a query's head and of k."""
        return self.k.width

    @property
    def value_dim(self) -> int:
        """Numbers of a value."""
        return self.k.width - self.rotation.n_rot

    @property
    def state(self) -> KeyValueSpec:
        """The keys, in which the values are."""
        return KeyValueSpec(self.layer, 1, self.head_dim, 0, rotation=self.rotation, is_fixed=self.k.knows_positions)
