"""`Graph`: a forward pass while it is written. Its methods are the operations that models share; `append` takes any."""

from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from llamachat.engine.graph.attention import Attention
from llamachat.engine.graph.columns import Columns, Concat
from llamachat.engine.graph.elementwise import (
    Activation,
    Add,
    AddVector,
    Clamp,
    Glu,
    Mul,
    MulVector,
    Scale,
    SoftCap,
    Unary,
)
from llamachat.engine.graph.embed import AddPositions, Embed
from llamachat.engine.graph.encoder import TextAttention
from llamachat.engine.graph.linear import Linear
from llamachat.engine.graph.node import Layer, Node
from llamachat.engine.graph.norm import Norm, NormKind
from llamachat.engine.graph.rotary import Rope, RopeSpec, Temperature, TemperatureSpec
from llamachat.errors import ShapeError, Unsupported

Operation = TypeVar("Operation", bound=Node)


@dataclass
class Graph:
    """The operations in order of evaluation; the last one's value is the logits.

    causal: whether tokens see only those before them, as what generates text; else all of their text (`attention`).
    layer_ends: the value of the residual stream behind each layer, as far as it is known.
    """

    nodes: list[Node] = field(default_factory=list)
    causal: bool = True
    layer_ends: list[Node] = field(default_factory=list)

    def end_layer(self, number: int) -> None:
        """Notes that a layer ends with the last operation; what only looks at layers is forgotten by the next one."""
        del self.layer_ends[number:]
        if self.nodes and self.nodes[-1] not in self.layer_ends[-1:]:
            self.layer_ends.append(self.nodes[-1])

    def append(self, node: Operation) -> Operation:
        """Takes an operation, whose operands must have been taken before."""
        self.nodes.append(node)
        return node

    def embed(self, table: Layer, factor: float = 1.0) -> Node:
        """Rows of the table chosen by the token ids, times factor."""
        return self.append(Embed(table.weight.shape[1], table.weight, factor))

    def linear(self, x: Node, layer: Layer, factor: float = 1.0) -> Node:
        """(x W^T * scale + bias) * factor."""
        return self.append(Linear(layer.weight.shape[0], x, layer.weight, layer.bias, scale=layer.scale, factor=factor))

    def rms_norm(self, x: Node, layer: Layer | None, eps: float, size: int = 0) -> Node:
        """RMS norm over every group of `size` columns; see `norm`."""
        return self.norm(x, "rms", layer, eps, size)

    def layer_norm(self, x: Node, layer: Layer | None, eps: float, size: int = 0) -> Node:
        """Layer norm over every group of `size` columns, with the layer's weight and bias as far as it has them."""
        return self.norm(x, "layer", layer, eps, size)

    def norm(self, x: Node, kind: NormKind, layer: Layer | None, eps: float, size: int = 0) -> Node:
        """A norm over every group of `size` columns; without layer it has no weight.

        size 0: as many as the weight's rows have values, all without a weight. A weight [n, size] is each group's own.
        """
        weight, bias = (layer.weight, layer.bias) if layer is not None else (None, None)
        size = size or (weight.shape[-1] if weight is not None else x.width)
        return self.append(Norm(x.width, x, kind, weight, bias, eps, size))

    def rope(self, x: Node, spec: RopeSpec, head_dim: int) -> Node:
        """Each head of x rotated by its position."""
        return self.append(Rope(x.width, x, spec, head_dim))

    def temperature(self, x: Node, spec: TemperatureSpec) -> Node:
        """x times the factor of its position."""
        return self.append(Temperature(x.width, x, spec))

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
        rope: RopeSpec | None = None,
        **special: Any,
    ) -> Node:
        """Attention with grouped heads over the keys and values of `layer`.

        rope: queries and keys are rotated by it first. A model that does something in between rotates them itself; then
        its contexts cannot be shifted. special: window, chunk, soft_cap, slopes, sinks, bias of `Attention`. Raises
        ShapeError.
        """
        if n_head % n_head_kv or q.width % n_head:
            raise ShapeError(f"{n_head} heads cannot share {n_head_kv} key/value heads")
        head_dim = q.width // n_head
        if rope is not None:
            q, k = self.rope(q, rope, head_dim), self.rope(k, rope, head_dim)
        width = v.width // n_head_kv * n_head
        if not self.causal:
            if names := [name for name, one in special.items() if one]:
                raise Unsupported(f"attention in both directions with {', '.join(names)} is not supported")
            return self.append(TextAttention(width, q, k, v, n_head, n_head_kv, scale))
        heads = layer, n_head, n_head_kv, head_dim, scale
        return self.append(Attention(width, q, k, v, *heads, rotation=rope, **special))

    def attention_to(self, q: Node, source: Node) -> Node:
        """Attention of other queries to the keys and values of an earlier attention, as that one does it.

        Raises ShapeError for one that keeps none.
        """
        if source.state is None:
            raise ShapeError("only an attention that keeps keys and values can be shared")
        kept = cast("Attention", source)
        if kept.rotation is not None:
            q = self.rope(q, kept.rotation, kept.head_dim)
        n_head = q.width // kept.head_dim
        return self.append(replace(kept, width=n_head * kept.value_dim, q=q, n_head=n_head, stores=False))

    def glu(self, gate: Node, up: Node, activation: Activation) -> Node:
        """activation(gate) * up."""
        return self.append(Glu(up.width, gate, up, activation))

    def add(self, a: Node, b: Node) -> Node:
        """a + b."""
        return self.append(Add(a.width, a, b))

    def mul(self, a: Node, b: Node) -> Node:
        """a * b; b may have one column, which multiplies all of a's."""
        return self.append(Mul(a.width, a, b))

    def unary(self, x: Node, activation: Activation) -> Node:
        """activation(x)."""
        return self.append(Unary(x.width, x, activation))

    def scale(self, x: Node, factor: float, offset: float = 0.0) -> Node:
        """x * factor + offset; x itself where that changes nothing."""
        return x if (factor, offset) == (1, 0) else self.append(Scale(x.width, x, factor, offset))

    def clamp(self, x: Node, low: float, high: float) -> Node:
        """x, at least low and at most high."""
        return self.append(Clamp(x.width, x, low, high))

    def soft_cap(self, x: Node, cap: float) -> Node:
        """cap * tanh(x / cap); x itself where cap is 0."""
        return self.append(SoftCap(x.width, x, cap)) if cap else x

    def add_vector(self, x: Node, vector: Layer, row: int = 0) -> Node:
        """x + a vector of the file (or a row of a table), the same for every row."""
        return self.append(AddVector(x.width, x, vector.weight, row))

    def mul_vector(self, x: Node, vector: Layer) -> Node:
        """x * a vector of the file, the same for every row; one value multiplies all columns."""
        return self.append(MulVector(x.width, x, vector.weight))

    def add_positions(self, x: Node, table: Layer) -> Node:
        """x + the table's rows at the tokens' positions."""
        return self.append(AddPositions(x.width, x, table.weight))

    def columns(self, x: Node, first: int, n: int, size: int = 0) -> Node:
        """Of every group of `size` columns (0: the row) the n from first on."""
        size = size or x.width
        return self.append(Columns(x.width // size * n, x, size, first, n))

    def split(self, x: Node, *widths: int) -> list[Node]:
        """x as values side by side, of these widths. Raises ShapeError unless they sum up to x's."""
        if sum(widths) != x.width:
            raise ShapeError(f"parts of {list(widths)} columns in a value of {x.width}", where="split")
        return [self.columns(x, sum(widths[:i]), width) for i, width in enumerate(widths)]

    def concat(self, a: Node, b: Node, groups: int = 1, b_serves_all: bool = False) -> Node:
        """`groups` times: the next columns of a, then the next of b, or all of b."""
        width = a.width + b.width * (groups if b_serves_all else 1)
        return self.append(Concat(width, a, b, groups, b_serves_all))
