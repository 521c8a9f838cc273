"""What an architecture is (data and a forward pass), and what a model is once its file has been checked against it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from llamachat.engine.graph import Graph, Node, Tensor
from llamachat.engine.models.params import Params
from llamachat.engine.models.tensors import Weights, weights


@dataclass(frozen=True)
class Architecture:
    """What a file of this package exports as `ARCHITECTURE`.

    params: a frozen dataclass whose fields are made by `key`. tensors: the table (see tensors.py). without_effect:
    {metadata key without prefix: why it changes nothing here}. forward: writes the forward pass, returns the logits.
    """

    params: type[Any]
    tensors: str
    forward: Callable[[Graph, Any, Weights], Node]
    without_effect: Mapping[str, str]


@dataclass(frozen=True)
class ModelSpec:
    """A model as its file describes it, checked: every tensor is declared and has its shape.

    architecture: as the file calls it. params: counts and constants (see `Params` for those that all have).
    tensors: {name: shape} of the file. unknown_keys: metadata keys that nobody knows, for one warning.
    """

    architecture: str
    params: Params
    tensors: Mapping[str, Tensor]
    unknown_keys: tuple[str, ...]
    family: Architecture

    def graph(self) -> Graph:
        """The forward pass; its last node is the logits [n_tokens, n_vocab]."""
        graph = Graph()
        self.family.forward(graph, self.params, weights(self.family.tensors, self.params, self.tensors))
        return graph
