"""Mixtures of experts: which experts a token chooses, what they compute for it, and how that is mixed.

Shazeer et al. 2017 (arXiv 1701.06538). A pair is a token and an expert that it chose; the pairs of a token are side by
side, its best expert first.
"""

from dataclasses import dataclass
from typing import Final, Literal

from llamachat.engine.graph.node import TOKENS, Node, Number, Role, Rows, Tensor, Use, pairs
from llamachat.engine.graph.shapes import floats, same_rows, same_width
from llamachat.errors import ShapeError

Scoring = Literal["softmax", "sigmoid", "chosen"]

MAX_EXPERTS: Final = 1024
"""Experts of a layer; routing keeps a number for each."""

MAX_USED: Final = 64
"""Experts of a token; each of them is a row of its own."""

UNIT: Final = 32
"""Rows of a matrix that backends keep together: a part of a matrix begins at a multiple of it."""


@dataclass(frozen=True)
class Routing:
    """How experts are chosen and weighed.

    scoring: an expert's score is its share in the softmax over all experts, the sigmoid of its logit, or ("chosen") its
    share in the softmax over the chosen ones. n_group > 1: only experts of the n_group_used groups count whose two best
    sum to the most (DeepSeek-AI 2024, arXiv 2412.19437). normalised: shares are divided by their sum, which counts as
    6.1e-5 at least (the smallest normal half). scale multiplies them afterwards.
    """

    n_used: int
    scoring: Scoring = "softmax"
    normalised: bool = False
    scale: float = 1.0
    n_group: int = 1
    n_group_used: int = 1


@dataclass(frozen=True, eq=False)
class Choice(Node):
    """The numbers of the experts with the largest scores, for each token: int32 [pairs, 1].

    logits [tokens, n_expert]. bias [n_expert] is added to scores for this choice only. Of equal scores the first wins.
    """

    logits: Node
    routing: Routing
    bias: Tensor | None = None

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        n, how = self.logits.width, self.routing
        floats("experts", self.logits)
        if n > MAX_EXPERTS or not 1 <= how.n_used <= min(n, MAX_USED):
            raise ShapeError(f"{how.n_used} of {n} experts: at most {MAX_USED} of {MAX_EXPERTS} are supported")
        size = n // max(how.n_group, 1)
        if how.n_group != 1 and (n != size * how.n_group or size < 2 or not 1 <= how.n_group_used <= how.n_group):
            raise ShapeError(f"{how.n_group_used} of {how.n_group} groups cannot be made of {n} experts")
        if how.n_group > 1 and size * how.n_group_used < how.n_used:
            raise ShapeError(f"{how.n_group_used} groups of {size} experts have no {how.n_used} to choose")
        if self.bias is not None:
            same_width(self.bias.shape[0], n, self.bias.name)

    @property
    def weights(self) -> tuple[Use, ...]:
        """The bias, if there is one."""
        return (Use(self.bias, Role.VECTOR),) if self.bias is not None else ()

    @property
    def rows(self) -> Rows:
        """A token's experts."""
        return pairs(self.routing.n_used)

    @property
    def number(self) -> Number:
        """Numbers of experts."""
        return Number.INTEGER


@dataclass(frozen=True, eq=False)
class Share(Node):
    """What each chosen expert's value is multiplied with: [pairs, 1], see `Routing`."""

    logits: Node
    chosen: Node
    routing: Routing

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        floats("experts", self.logits)
        _are_choices(self.chosen)

    @property
    def rows(self) -> Rows:
        """Those of the choice."""
        return self.chosen.rows


@dataclass(frozen=True, eq=False)
class ExpertLinear(Node):
    """Each pair's x times the matrix of its expert, times that expert's scale, + its bias: [pairs, width].

    x [tokens or pairs, n_in]; weight [n_expert, n_out, n_in], of which the rows first .. first + width are meant; bias
    [n_expert, width]; scale [n_expert].
    """

    x: Node
    chosen: Node
    weight: Tensor
    bias: Tensor | None = None
    scale: Tensor | None = None
    first: int = 0

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        name, (n_expert, n_out, n_in) = self.weight.name, self.weight.shape
        same_width(n_in, self.x.width, name)
        floats(name, self.x)
        _are_choices(self.chosen)
        if self.first % UNIT or not 0 <= self.first <= n_out - self.width:
            raise ShapeError(f"no {self.width} rows begin at {self.first} of {n_out} (parts are of {UNIT})", where=name)
        if self.x.rows not in (TOKENS, self.chosen.rows):
            raise ShapeError(f"rows of {self.x.rows.name} have no experts", where=name)
        if self.bias is not None:
            same_width(self.bias.shape[1], self.width, self.bias.name)
        if self.scale is not None:
            same_width(self.scale.shape[0], n_expert, self.scale.name)

    @property
    def weights(self) -> tuple[Use, ...]:
        """The matrices, of which a token reads its share, and the scales and biases."""
        share = self.chosen.rows.times / self.weight.shape[0] * self.width / self.weight.shape[1]
        vectors = (Use(one, Role.VECTOR) for one in (self.scale, self.bias) if one is not None)
        return (Use(self.weight, Role.EXPERTS, min(1.0, share)), *vectors)

    @property
    def operations(self) -> int:
        """A multiplication and an addition for each weight of one expert."""
        return 2 * self.width * self.x.width

    @property
    def rows(self) -> Rows:
        """Those of the choice."""
        return self.chosen.rows


@dataclass(frozen=True, eq=False)
class Mixture(Node):
    """The sum of a token's pairs, each times its share, in their order: [tokens, width]. Without shares each is 1."""

    x: Node
    share: Node | None

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        floats("mixture", self.x)
        if self.share is not None:
            same_width(self.share.width, 1, "mixture")
            same_rows(self.x, self.share, "mixture")

    @property
    def rows(self) -> Rows:
        """Tokens."""
        return TOKENS


@dataclass(frozen=True, eq=False)
class ScaleRows(Node):
    """Every row of x times its one number of `share` [rows, 1]; x may have rows of tokens where share has pairs."""

    x: Node
    share: Node

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        same_width(self.share.width, 1, "factors of rows")
        floats("factors of rows", self.x, self.share)
        if self.x.rows not in (TOKENS, self.share.rows):
            same_rows(self.x, self.share, "factors of rows")

    @property
    def rows(self) -> Rows:
        """Those of the factors."""
        return self.share.rows


@dataclass(frozen=True, eq=False)
class ClampedGlu(Node):
    """g sigmoid(alpha g) (u + 1), g = min(gate, limit), u = up between -limit and limit.

    OpenAI 2025, gpt-oss model card (arXiv 2508.10925).
    """

    gate: Node
    up: Node
    alpha: float
    limit: float

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        same_width(self.gate.width, self.up.width, "glu")
        same_rows(self.gate, self.up, "glu")
        floats("glu", self.gate, self.up)


def _are_choices(chosen: Node) -> None:
    if chosen.number is not Number.INTEGER or chosen.width != 1:
        raise ShapeError("experts are chosen by one integer for each pair")
