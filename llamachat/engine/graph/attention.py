"""Causal attention over the keys and values of a sequence."""

from dataclasses import dataclass

from llamachat.engine.graph.bias import PositionBias
from llamachat.engine.graph.node import Node, Role, Tensor, Use
from llamachat.engine.graph.rotary import RopeSpec
from llamachat.engine.graph.shapes import floats, same_width
from llamachat.engine.state.spec import KeyValueSpec
from llamachat.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Attention(Node):
    """softmax(q k^T * scale) v over the sequence's keys up to the token itself; k and v are kept as state of `layer`.

    q [n_tokens, n_head*head_dim], k [n_tokens, n_head_kv*head_dim], v [n_tokens, n_head_kv*value_dim]: [n_tokens,
    n_head*value_dim]; n_head/n_head_kv heads share a k/v head.

    window w > 0: a query at position p sees keys with p - key < w. chunk c > 0: only those of its own chunk, which
    begins at p // c * c. soft_cap c > 0: a score s becomes c tanh(s / c) (Gemma 2, arXiv 2408.00118). slopes [n_head]:
    each head's score is lowered by its slope for every position between key and query (ALiBi, Press et al. 2022, arXiv
    2108.12409). sinks [n_head]: one more score for each head, of a value of zero (gpt-oss; Xiao et al. 2023, arXiv
    2309.17453). bias: added to scores by distance. rotation: how k was rotated by its position as the last thing before
    this, so that a context can be shifted; None where it was not. stores False: k and v are those of an earlier
    attention, which keeps them as state of `layer`.
    """

    q: Node
    k: Node
    v: Node
    layer: int
    n_head: int
    n_head_kv: int
    head_dim: int
    scale: float
    window: int = 0
    rotation: RopeSpec | None = None
    chunk: int = 0
    soft_cap: float = 0.0
    slopes: tuple[float, ...] = ()
    sinks: Tensor | None = None
    stores: bool = True
    bias: PositionBias | None = None

    def __post_init__(self) -> None:
        """Raises ShapeError."""
        if self.n_head % self.n_head_kv:
            raise ShapeError(f"{self.n_head} heads cannot share {self.n_head_kv} key/value heads")
        same_width(self.q.width, self.n_head * self.head_dim, f"q of layer {self.layer}")
        same_width(self.k.width, self.n_head_kv * self.head_dim, f"k of layer {self.layer}")
        same_width(self.v.width, self.n_head_kv * self.value_dim, f"v of layer {self.layer}")
        same_width(self.width, self.n_head * self.value_dim, f"attention of layer {self.layer}")
        floats(f"attention of layer {self.layer}", self.q, self.k, self.v)
        if self.slopes:
            same_width(len(self.slopes), self.n_head, f"slopes of layer {self.layer}")
        if self.sinks is not None:
            same_width(self.sinks.shape[0], self.n_head, self.sinks.name)

    @property
    def weights(self) -> tuple[Use, ...]:
        """The sinks and the bias, if there are any."""
        sinks = (Use(self.sinks, Role.VECTOR),) if self.sinks is not None else ()
        return sinks if self.bias is None else (*sinks, *self.bias.weights)

    @property
    def value_dim(self) -> int:
        """Numbers of a head's value."""
        return self.v.width // self.n_head_kv

    @property
    def mixes_rows(self) -> bool:
        """Always, whoever keeps the keys and values."""
        return True

    @property
    def state(self) -> KeyValueSpec | None:
        """The keys and values, unless another layer keeps them."""
        if not self.stores:
            return None
        early = self.rotation is None and _rotated_within(self.k)
        fixed = early or self.k.knows_positions or self.v.knows_positions
        size = self.n_head_kv, self.head_dim, self.value_dim
        measures = bool(self.slopes) or self.bias is not None
        return KeyValueSpec(self.layer, *size, self.furthest, self.rotation, is_fixed=fixed, measures_distance=measures)

    @property
    def furthest(self) -> int:
        """How many of the last keys a query sees at most, its own among them; 0: all."""
        return min(n for n in (self.window, self.chunk) if n) if self.window or self.chunk else 0


def _rotated_within(k: Node) -> bool:
    """Whether the keys were rotated somewhere between the product that made them and here."""
    if k.rotates:
        return True
    return not k.operations and any(_rotated_within(value) for value in k.inputs)


def alibi_slopes(n_head: int, largest_bias: float) -> tuple[float, ...]:
    """A slope for each head: 2^(-largest_bias / n * (1 ... n)) for n heads, n the largest power of two.

    The other heads take every second one of the slopes for 2 n heads (Press et al. 2022, arXiv 2108.12409, and the code
    of its authors).
    """
    n = 1 << (n_head.bit_length() - 1)
    step = largest_bias / n
    others = (2.0 ** (-step / 2 * (2 * i + 1)) for i in range(n_head - n))
    return (*(2.0 ** (-step * (i + 1)) for i in range(n)), *others)
