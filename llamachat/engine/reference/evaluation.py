"""The walk through a graph in float64 NumPy: one sequence from position 0, value by value.

It knows no cache, no threads and no block format: `load` gives the weights as numbers. A value is forgotten after its
last use.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.graph import Graph, Node, Tensor
from llamachat.errors import UsageError

Floats = NDArray[np.float64]
Load = Callable[[str], NDArray[Any]]


@dataclass
class Evaluation:
    """One sequence on its way: tokens [n_tokens], the values that are still needed, and where weights come from."""

    load: Load
    tokens: NDArray[np.int64]
    values: dict[Node, Floats] = field(default_factory=dict)

    def weight(self, tensor: Tensor) -> Floats:
        """A tensor as float64 [*tensor.shape]."""
        return np.asarray(self.load(tensor.name), np.float64).reshape(tensor.shape)


@singledispatch
def value(node: Node, state: Evaluation) -> Floats:
    """The value of an operation, float64 [rows, node.width]; `value.register` gives an operation its meaning.

    Raises UsageError for an operation that has none.
    """
    raise UsageError(f"the reference does not know {type(node).__name__}: register its meaning with value.register")


def evaluate(graph: Graph, load: Load, tokens: Sequence[int] | NDArray[np.integer]) -> Floats:
    """The last node's value, the logits: float64 [n_tokens, n_vocab].

    load: gives the tensor of a name as floats, in any shape with as many values. Raises UsageError for no tokens or a
    token that the embedding does not have. Costs float64 copies of a matrix at a time, and n_tokens x
    `attention.QUERIES_AT_ONCE` scores.
    """
    state = Evaluation(load, np.asarray(tokens, np.int64).reshape(-1))
    last_use = {operand: node for node in graph.nodes for operand in node.inputs}
    for node in graph.nodes:
        state.values[node] = value(node, state)
        for operand in node.inputs:
            if last_use[operand] is node:
                state.values.pop(operand, None)
    return state.values[graph.nodes[-1]]
