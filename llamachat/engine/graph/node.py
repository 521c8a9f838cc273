"""What every operation answers for itself: inputs, weights and their roles, state, cost, rows.

Nothing else in the program asks of what kind an operation is: the memory plan, the measurements, the cache and the
loader ask these questions, and only `plan/` and a backend's own table look at types. This file knows neither NumPy nor
LLVM.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import Enum
from functools import cached_property
from typing import Final

from llamachat.engine.state.spec import StateSpec
from llamachat.errors import ShapeError


@dataclass(frozen=True)
class Tensor:
    """A weight of the file: its GGUF name and its shape, rows first (a matrix is [n_out, n_in])."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A tensor `<name>.weight` with its `<name>.bias` and `<name>.scale` [1]; None where the file has none.

    A bias may stand alone (`exp_probs_b.bias`, `ssm_dt.bias`): then it is the `weight`.
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: Tensor | None = None


class Role(Enum):
    """How an operation reads a weight, which says how a backend must keep it."""

    MATRIX = "matrix"
    """Multiplied with activations; packed."""
    EXPERTS = "experts"
    """Matrices [n_expert, n_out, n_in] of which a row chooses some; packed."""
    VECTOR = "vector"
    """Read whole as float32."""
    CONVOLUTION = "convolution"
    """A short kernel for every channel, read whole as float32."""
    TABLE = "table"
    """Looked up by row; stays as it is in the file."""
    ANGLES = "angles"
    """Read once, when tables of rotary angles are made."""
    DOWN = "down"
    """The first matrix of a product of low rank; it and the next two come with adapters, not with the model."""
    UP = "up"
    """The second one."""
    BESIDE = "beside"
    """Read whole as float32."""
    HEADS = "heads"
    """A matrix for each head; read whole as float32."""
    BIASES = "biases"
    """Read once, when tables of position biases are made."""


@dataclass(frozen=True)
class Use:
    """A weight in its role. share: the part of it that one row reads (experts: those used of all)."""

    tensor: Tensor
    role: Role
    share: float = 1.0


MAX_TIMES: Final = 4096
"""Rows that a token may have."""


@dataclass(frozen=True)
class Rows:
    """What the rows of a value stand for, and how many of them a step has.

    most 0: `times` for each of its tokens, those of a token side by side. Else a number of their own, at most `most`,
    that comes with the values which a step is given under this name (`Given`): encoder tokens, pieces of a picture.
    """

    name: str
    times: int = 1
    most: int = 0

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        if not 1 <= self.times <= MAX_TIMES or self.most < 0 or (self.most and self.times > 1):
            raise ShapeError(f"rows need 1 to {MAX_TIMES} for each token, or a number of their own", where=self.name)


TOKENS: Final = Rows("tokens")


PAIRS: Final = "pairs"


def pairs(n_used: int) -> Rows:
    """A token and each of the n_used experts that it chose."""
    return Rows(PAIRS, n_used)


class Number(Enum):
    """What the numbers of a value are."""

    FLOAT = "float32"
    INTEGER = "int32"


@dataclass(frozen=True, eq=False)
class Node:
    """An operation and its value [rows, width] of numbers, see `rows` and `number`. Compared by identity.

    A subclass is a frozen dataclass (eq=False) whose operands are fields; it checks their shapes when it is made.
    """

    width: int

    @property
    def inputs(self) -> tuple["Node", ...]:
        """The values that it reads, in the order of its fields; one that it reads twice stands twice."""
        return self._inputs

    @cached_property
    def _inputs(self) -> tuple["Node", ...]:
        values = (getattr(self, f.name) for f in fields(self))
        return tuple(value for value in values if isinstance(value, Node))

    @property
    def weights(self) -> tuple[Use, ...]:
        """The tensors that it reads."""
        return ()

    @property
    def state(self) -> StateSpec | None:
        """What it keeps between the steps of a sequence."""
        return None

    @property
    def operations(self) -> int:
        """Multiplications and additions with weights for one row; other arithmetic is not counted."""
        return 0

    @property
    def rows(self) -> Rows:
        """What its rows stand for: by default what those of its first input do."""
        return self._rows

    @cached_property
    def _rows(self) -> Rows:
        return self.inputs[0].rows if self.inputs else TOKENS  # once: a chain of nodes is as long as the model is deep

    @property
    def number(self) -> Number:
        """What its numbers are."""
        return Number.FLOAT

    @property
    def mixes_rows(self) -> bool:
        """Whether a row of its value depends on rows of other tokens: then those of all tokens must be computed.

        The pairs of one token, and rows with a number of their own, are there wherever the token is.
        """
        return self.state is not None

    @property
    def needs_whole(self) -> bool:
        """Whether all tokens of a text must be in one step."""
        return False

    @property
    def reads_kept(self) -> bool:
        """Whether it reads operands with a number of rows of their own only out of what the sequence keeps of them."""
        return False

    @property
    def rotates(self) -> bool:
        """Whether it rotates a row by its position (a rotary embedding)."""
        return False

    @property
    def adds_positions(self) -> bool:
        """Whether it writes positions into its value in a way that no rotation undoes (position embeddings)."""
        return False

    @property
    def n_positions(self) -> int:
        """How many positions it knows, where a token may not have a later one; 0: any."""
        return 0

    @cached_property
    def knows_positions(self) -> bool:
        """Whether `adds_positions` is true of it or of anything that it is computed from."""
        return self.adds_positions or any(value.knows_positions for value in self.inputs)


def uses(nodes: Iterable[Node], *roles: Role) -> list[Use]:
    """The uses of weights in these roles, in order, each tensor once."""
    found: dict[str, Use] = {}
    for node in nodes:
        for use in node.weights:
            if use.role in roles:
                found.setdefault(use.tensor.name, use)
    return list(found.values())


def states(nodes: Iterable[Node]) -> list[StateSpec]:
    """What the operations keep between steps, in their order."""
    return [state for node in nodes if (state := node.state) is not None]
