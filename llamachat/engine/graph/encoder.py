"""Attention among the tokens of one text in both directions, and of a decoder's tokens to an encoder's.

A text is the tokens of a sequence in one step, or rows with a number of their own (`Rows.most`). Nothing of it is kept
between steps but what `Encoded` stores.
"""

from dataclasses import dataclass

from llamachat.engine.graph.bias import PositionBias
from llamachat.engine.graph.node import TOKENS, Node, Use
from llamachat.engine.graph.shapes import floats, same_rows, same_width
from llamachat.engine.state.spec import EncoderSpec
from llamachat.errors import ShapeError


@dataclass(frozen=True, eq=False)
class TextAttention(Node):
    """softmax(q k^T * scale + bias) v over all tokens of the text.

    q [n, n_head*head_dim], k [n, n_head_kv*head_dim], v [n, n_head_kv*value_dim]: [n, n_head*value_dim];
    n_head/n_head_kv heads share a k/v head.
    """

    q: Node
    k: Node
    v: Node
    n_head: int
    n_head_kv: int
    scale: float
    bias: PositionBias | None = None

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        if self.n_head % self.n_head_kv or self.q.width % self.n_head or self.v.width % self.n_head_kv:
            raise ShapeError(f"{self.n_head} heads cannot share {self.n_head_kv} key/value heads")
        same_width(self.k.width, self.n_head_kv * self.head_dim, "keys of a text")
        same_width(self.width, self.n_head * self.value_dim, "attention in a text")
        for other in (self.k, self.v):
            same_rows(self.q, other, "attention in a text")
        floats("attention in a text", self.q, self.k, self.v)

    @property
    def head_dim(self) -> int:
        """Numbers of a head's query and key."""
        return self.q.width // self.n_head

    @property
    def value_dim(self) -> int:
        """Numbers of a head's value."""
        return self.v.width // self.n_head_kv

    @property
    def weights(self) -> tuple[Use, ...]:
        """Those of the bias."""
        return self.bias.weights if self.bias is not None else ()

    @property
    def mixes_rows(self) -> bool:
        """Of tokens: every one depends on all of its text."""
        return self.rows == TOKENS

    @property
    def needs_whole(self) -> bool:
        """A text's tokens must be in one step, because earlier ones see later ones."""
        return self.rows == TOKENS


@dataclass(frozen=True, eq=False)
class Encoded(Node):
    """Keeps keys and values of an encoder's rows as state of `layer`, in place of those before; its value is both.

    k [n, n_head*head_dim], v [n, n_head*value_dim]: side by side, for those that read it. Where a step brings no rows,
    what is kept stays.
    """

    k: Node
    v: Node
    layer: int
    n_head: int

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        if not self.k.rows.most:
            raise ShapeError("an encoder's keys need rows with a number of their own", where=f"layer {self.layer}")
        same_rows(self.k, self.v, f"encoded layer {self.layer}")
        same_width(self.width, self.k.width + self.v.width, f"encoded layer {self.layer}")
        same_width(self.k.width % self.n_head + self.v.width % self.n_head, 0, f"encoded layer {self.layer}")
        floats(f"encoded layer {self.layer}", self.k, self.v)

    @property
    def state(self) -> EncoderSpec:
        """The keys and values."""
        n = self.n_head
        return EncoderSpec(self.layer, n, self.k.width // n, self.v.width // n, self.k.rows.most)


@dataclass(frozen=True, eq=False)
class CrossAttention(Node):
    """softmax(q k^T * scale) v over all rows that `encoded` keeps for the token's sequence.

    q [n_tokens, n_head*head_dim]: [n_tokens, n_head*value_dim].
    """

    q: Node
    encoded: Encoded
    n_head: int
    scale: float

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        state = self.encoded.state
        if self.n_head % state.n_head:
            raise ShapeError(f"{self.n_head} heads cannot share {state.n_head} key/value heads")
        same_width(self.q.width, self.n_head * state.key_dim, f"cross-attention of layer {state.layer}")
        same_width(self.width, self.n_head * state.value_dim, f"cross-attention of layer {state.layer}")
        floats(f"cross-attention of layer {state.layer}", self.q)

    @property
    def mixes_rows(self) -> bool:
        """It reads the states of sequences, which are known of all tokens of a step."""
        return True

    @property
    def reads_kept(self) -> bool:
        """Its second operand is read out of the sequence's state."""
        return True
