"""`Plan`: a forward pass, cut and fused, as backends take it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from llamachat.engine.graph import Given, Node, Role, Rows, uses
from llamachat.engine.plan.border import border
from llamachat.engine.plan.ends import embedding, hidden
from llamachat.engine.plan.fuse import Fusion, fusions, readers
from llamachat.errors import ShapeError


@dataclass(frozen=True, eq=False)
class Plan:
    """The operations of a model in order of evaluation. `body` is computed for every token, `head` for wanted rows."""

    nodes: Sequence[Node]

    @cached_property
    def body(self) -> Sequence[Node]:
        """What every token needs."""
        return self.nodes[: border(self.nodes)]

    @cached_property
    def head(self) -> Sequence[Node]:
        """What only rows need whose logits are wanted; never empty."""
        return self.nodes[len(self.body) :]

    @cached_property
    def crossing(self) -> Sequence[Node]:
        """Values of the body that the head reads, in the order in which it does."""
        before = set(self.body)
        return list(dict.fromkeys(value for node in self.head for value in node.inputs if value in before))

    @cached_property
    def given(self) -> Mapping[str, Given]:
        """{name: values that callers bring}. Raises ShapeError for two of one name."""
        found: dict[str, Given] = {}
        for node in self.nodes:
            if isinstance(node, Given) and found.setdefault(node.name, node) is not node:
                raise ShapeError("two values that are given have this name", where=node.name)
        return found

    @cached_property
    def n_positions(self) -> int:
        """How many positions the model knows, more than which no context may have; 0: any."""
        return min((node.n_positions for node in self.nodes if node.n_positions), default=0)

    @cached_property
    def own_rows(self) -> Sequence[Rows]:
        """Kinds of rows that have numbers of their own."""
        return list(dict.fromkeys(node.rows for node in self.nodes if node.rows.most))

    @cached_property
    def n_vocab(self) -> int:
        """How many tokens there are: rows of the table in which they are looked up."""
        tables = uses(self.nodes, Role.TABLE)
        return tables[0].tensor.shape[0] if tables else self.nodes[-1].width

    @cached_property
    def needs_whole(self) -> bool:
        """Whether all tokens of a text must be in one step: earlier ones see later ones."""
        return any(node.needs_whole for node in self.nodes)

    @cached_property
    def embedding(self) -> Node | None:
        """The value that a row may bring with it instead of a token id; None where a model has none or several."""
        return embedding(self.nodes)

    @cached_property
    def hidden(self) -> Node | None:
        """The value that the output head reads, a row's hidden state; None where there is no output head."""
        return hidden(self.nodes)

    @cached_property
    def kept(self) -> frozenset[Node]:
        """Operations of rows with a number of their own that a step needs only if it brings some.

        What others need of them the sequence keeps (`Node.reads_kept`).
        """
        found: set[Node] = set()
        own = [node for node in self.nodes if node.rows.most]
        readers: dict[Node, list[Node]] = {node: [] for node in own}
        for node in self.nodes if own else ():
            for value in node.inputs:
                if value in readers:
                    readers[value].append(node)
        for node in reversed(own):
            if readers[node] and all(other in found or other.reads_kept for other in readers[node]):
                found.add(node)
        return frozenset(found)

    @cached_property
    def n_readers(self) -> Mapping[Node, int]:
        """How many nodes read each value."""
        return readers(self.nodes)

    @cached_property
    def fusions(self) -> Mapping[Node, Fusion]:
        """{reader: the operation that is computed with it}."""
        return fusions(self.nodes, set(self.body), self.n_readers)

    @cached_property
    def fused(self) -> frozenset[Node]:
        """Operations that are computed with their readers."""
        return frozenset(fusion.part for fusion in self.fusions.values())
