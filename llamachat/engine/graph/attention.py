"""Causal attention over the keys and values of a sequence."""

from dataclasses import dataclass

from llamachat.engine.graph.node import Node
from llamachat.engine.graph.rotary import RopeSpec
from llamachat.engine.graph.shapes import floats, same_width
from llamachat.engine.state.spec import KeyValueSpec
from llamachat.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Attention(Node):
    """softmax(q k^T * scale) v over the sequence's keys up to the token itself; k and v are kept as state of `layer`.

    q [n_tokens, n_head*head_dim], k [n_tokens, n_head_kv*head_dim], v [n_tokens, n_head_kv*value_dim]: [n_tokens,
    n_head*value_dim]; n_head/n_head_kv heads share a k/v head. window w > 0: a query at position p sees keys with
    p - key < w. rotation: how k was rotated by its position as the last thing before this, so that a context can be
    shifted; None where it was not.
    """

    q: Node
    k: Node
    v: Node
    layer: int
    n_head: int
    n_head_kv: int
    head_dim: int
    scale: float
    window: int
    rotation: RopeSpec | None = None

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        if self.n_head % self.n_head_kv:
            raise ShapeError(f"{self.n_head} heads cannot share {self.n_head_kv} key/value heads")
        same_width(self.q.width, self.n_head * self.head_dim, f"q of layer {self.layer}")
        same_width(self.k.width, self.n_head_kv * self.head_dim, f"k of layer {self.layer}")
        same_width(self.v.width, self.n_head_kv * self.value_dim, f"v of layer {self.layer}")
        same_width(self.width, self.n_head * self.value_dim, f"attention of layer {self.layer}")
        floats(f"attention of layer {self.layer}", self.q, self.k, self.v)

    @property
    def value_dim(self) -> int:
        """Numbers of a head's value."""
        return self.v.width // self.n_head_kv

    @property
    def state(self) -> KeyValueSpec:
        """The keys and values."""
        early = self.rotation is None and _rotated_within(self.k)
        fixed = early or self.k.knows_positions or self.v.knows_positions
        return KeyValueSpec(
            self.layer, self.n_head_kv, self.head_dim, self.value_dim, self.window, self.rotation, fixed
        )


def _rotated_within(k: Node) -> bool:
    """Whether the keys were rotated somewhere between the product that made them and here."""
    if k.rotates:
        return True
    return not k.operations and any(_rotated_within(value) for value in k.inputs)
