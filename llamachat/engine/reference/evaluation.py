"""The walk through a graph in float64 NumPy: one sequence from position 0, value by value.

It knows no cache, no threads and no block format: `load` gives the weights as numbers. A value is forgotten after its
last use.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.graph import Graph, Node, Tensor
from llamachat.errors import UsageError

Floats = NDArray[np.float64]
Value = NDArray[Any]
"""Float64, or int64 of integers."""
Load = Callable[[str], NDArray[Any]]


@dataclass
class Evaluation:
    """One sequence on its way: tokens [n_tokens], the values that are still needed, and where weights come from.

    values: float64 [rows, width], integers as int64. given: {name of a `Given`: its values [n, width]}. n_ctx: tokens
    that the context is for; 0: those that there are.
    """

    load: Load
    tokens: NDArray[np.int64]
    values: dict[Node, Value] = field(default_factory=dict)
    given: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    n_ctx: int = 0

    def weight(self, tensor: Tensor) -> Floats:
        """A tensor as float64 [*tensor.shape]."""
        return np.asarray(self.load(tensor.name), np.float64).reshape(tensor.shape)


@singledispatch
def value(node: Node, state: Evaluation) -> Value:
    """The value of an operation, float64 [rows, node.width], int64 of integers; `value.register` gives it its meaning.

    Raises UsageError for an operation that has none.
    """
    raise UsageError(f"the reference does not know {type(node).__name__}: register its meaning with value.register")


def evaluate(
    graph: Graph,
    load: Load,
    tokens: Sequence[int] | NDArray[np.integer],
    given: Mapping[str, NDArray[Any]] | None = None,
    n_ctx: int = 0,
) -> Floats:
    """The last node's value, the logits: float64 [n_tokens, n_vocab].

    load: gives the tensor of a name as floats, in any shape with as many values. given, n_ctx: see `Evaluation`. Raises
    UsageError for no tokens or a token that the embedding does not have. Costs float64 copies of a matrix at a time and
    n_tokens x `attention.QUERIES_AT_ONCE` scores.
    """
    state = Evaluation(load, np.asarray(tokens, np.int64).reshape(-1), given=given or {}, n_ctx=n_ctx)
    last_use = {operand: node for node in graph.nodes for operand in node.inputs}
    for node in graph.nodes:
        state.values[node] = value(node, state)
        for operand in node.inputs:
            if last_use[operand] is node:
                state.values.pop(operand, None)
    logits: Floats = state.values[graph.nodes[-1]]
    return logits
