"""The recurrences of RWKV 6 and 7: a head's state is a matrix S [head_dim keys, head_dim values], zero before the text.

Both end with what no other operation does between: a layer norm of the head, and in RWKV 7 a bonus after it.
"""

from dataclasses import dataclass

from llamachat.engine.graph.node import Node, Role, Tensor, Use
from llamachat.engine.graph.recurrent import SCAN, vectors
from llamachat.engine.graph.shapes import floats, same_rows, same_width
from llamachat.engine.state.spec import RecurrentSpec
from llamachat.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Mix(Node):
    """x + (other - x) * share; share: a row of a tensor of the file [..., width], plus `more`, or one of the two."""

    x: Node
    other: Node
    share: Tensor | None
    row: int = 0
    more: Node | None = None

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        if self.share is None and self.more is None:
            raise ShapeError("nothing says how much of each", where="mix")
        for value in (self.x, self.other, *([self.more] if self.more is not None else [])):
            same_width(value.width, self.width, "mix")
            same_rows(value, self.x, "mix")
            floats("mix", value)
        if self.share is not None:
            vectors(self.width * self.n_rows, self.share)
            if not 0 <= self.row < self.n_rows:
                raise ShapeError(f"there is no row {self.row}", where=self.share.name)

    @property
    def n_rows(self) -> int:
        """Rows of `share`."""
        n = 1
        for size in self.share.shape[:-1] if self.share is not None else ():
            n *= size
        return n

    @property
    def weights(self) -> tuple[Use, ...]:
        """The share."""
        return (Use(self.share, Role.VECTOR),) if self.share is not None else ()


@dataclass(frozen=True, eq=False)
class _HeadNormed(Node):
    """r, w, k, v [n_head * head_dim]. norm, norm_bias [width], of a layer norm over each head; both or none."""

    r: Node
    w: Node
    k: Node
    v: Node
    head_dim: int
    norm: Tensor | None
    norm_bias: Tensor | None
    eps: float
    layer: int

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        where = f"time mixing of layer {self.layer}"
        for value in self.inputs:
            same_width(value.width, self.width, where)
            same_rows(value, self.r, where)
        same_width(self.width % self.head_dim, 0, where)
        if (self.norm is None) != (self.norm_bias is None):
            raise ShapeError("a head's norm has both a weight and a bias, or there is none", where=where)
        vectors(self.width, *self._vectors)
        floats(where, *self.inputs)

    @property
    def _vectors(self) -> tuple[Tensor, ...]:
        return tuple(vector for vector in (self.norm, self.norm_bias) if vector is not None)

    @property
    def weights(self) -> tuple[Use, ...]:
        """The vectors of a number for each column."""
        return tuple(Use(vector, Role.VECTOR) for vector in self._vectors)

    @property
    def state(self) -> RecurrentSpec:
        """head_dim numbers for every column."""
        return RecurrentSpec(self.layer, SCAN, self.head_dim, self.width)


@dataclass(frozen=True, eq=False)
class Wkv6(_HeadNormed):
    """Time mixing of RWKV 6 (Peng et al. 2024, arXiv 2404.05892).

    d = exp(-exp(w)); y = (S + (first * k) v^T)^T r * scale; S = d S + k v^T; then the norm. first [width]; without it
    y = S^T r * scale of the new S, of keys that are multiplied by 1 - d: gated linear attention (arXiv 2312.06635).
    """

    first: Tensor | None = None
    scale: float = 1.0

    @property
    def _vectors(self) -> tuple[Tensor, ...]:
        return (*super()._vectors, *([self.first] if self.first is not None else []))


@dataclass(frozen=True, eq=False)
class Wkv7(_HeadNormed):
    """Time mixing of RWKV 7 (Peng et al. 2025, arXiv 2503.14456).

    d = exp(-e^-0.5 sigmoid(w)); u = sigmoid(rate); c = k * direct normed to length 1 in its head;
    h = k * (1 + (u - 1) * replace); S = d S - (c * u) (S^T c)^T + h v^T; y = S^T r; then the norm, plus
    (sum of r * h * bonus in the head) v. rate [width]; direct, replace, bonus: tensors [width].
    """

    rate: Node
    direct: Tensor
    replace: Tensor
    bonus: Tensor

    @property
    def _vectors(self) -> tuple[Tensor, ...]:
        return (*super()._vectors, self.direct, self.replace, self.bonus)
