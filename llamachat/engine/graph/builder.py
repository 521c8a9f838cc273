"""`Graph`: a forward pass while it is written. Its methods are the operations that models share; `append` takes any."""

from dataclasses import dataclass, field
from typing import TypeVar

from llamachat.engine.graph.attention import Attention
from llamachat.engine.graph.elementwise import Activation, Add, Glu
from llamachat.engine.graph.embed import Embed
from llamachat.engine.graph.linear import Linear
from llamachat.engine.graph.node import Layer, Node
from llamachat.engine.graph.norm import RmsNorm
from llamachat.engine.graph.rotary import Rope, RopeSpec
from llamachat.errors import ShapeError

Operation = TypeVar("Operation", bound=Node)


@dataclass
class Graph:
    """The operations in order of evaluation; the last one's value is the logits."""

    nodes: list[Node] = field(default_factory=list)

    def append(self, node: Operation) -> Operation:
        """Takes an operation, whose operands must have been taken before."""
        self.nodes.append(node)
        return node

    def embed(self, table: Layer, factor: float = 1.0) -> Node:
        """Rows of the table chosen by the token ids, times factor."""
        return self.append(Embed(table.weight.shape[1], table.weight, factor))

    def linear(self, x: Node, layer: Layer) -> Node:
        """x W^T + bias."""
        return self.append(Linear(layer.weight.shape[0], x, layer.weight, layer.bias))

    def rms_norm(self, x: Node, layer: Layer, eps: float) -> Node:
        """RMS norm over every group of as many neighbours as the weight has values."""
        return self.append(RmsNorm(x.width, x, layer.weight, eps, layer.weight.shape[0]))

    def rope(self, x: Node, spec: RopeSpec, head_dim: int) -> Node:
        """Each head of x rotated by its position."""
        return self.append(Rope(x.width, x, spec, head_dim))

    def attention(
        self,
        q: Node,
        k: Node,
        v: Node,
        *,
        layer: int,
        n_head: int,
        n_head_kv: int,
        scale: float,
        window: int = 0,
        rope: RopeSpec | None = None,
    ) -> Node:
        """Causal attention with grouped heads over the keys and values of `layer`; window 0 sees everything.

        rope: queries and keys are rotated by it first. A model that does something in between rotates them itself; then
        its contexts cannot be shifted. Raises ShapeError.
        """
        if n_head % n_head_kv or q.width % n_head:
            raise ShapeError(f"{n_head} heads cannot share {n_head_kv} key/value heads")
        head_dim = q.width // n_head
        if rope is not None:
            q, k = self.rope(q, rope, head_dim), self.rope(k, rope, head_dim)
        width = v.width // n_head_kv * n_head
        return self.append(Attention(width, q, k, v, layer, n_head, n_head_kv, head_dim, scale, window, rope))

    def glu(self, gate: Node, up: Node, activation: Activation) -> Node:
        """activation(gate) * up."""
        return self.append(Glu(up.width, gate, up, activation))

    def add(self, a: Node, b: Node) -> Node:
        """a + b."""
        return self.append(Add(a.width, a, b))
