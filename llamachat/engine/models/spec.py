"""What an architecture is (data and a forward pass), and what a model is once its file has been checked against it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llamachat.engine.graph import Graph, Node, Tensor
from llamachat.engine.models.params import Params
from llamachat.engine.models.tensors import DECODER, Stacks, Weights, weights


@dataclass(frozen=True)
class Architecture:
    """What a file of `families/` exports as `ARCHITECTURE`.

    models: {value of `general.architecture`: the models that have it, as people call them}. params: a frozen
    dataclass whose fields are made by `key`, most of them inherited (see base.py). tensors: the table (see tensors.py).
    forward: writes the forward pass, returns the logits. without_effect: {metadata key without prefix: why it changes
    nothing here}. stacks: layers other than a decoder's.
    """

    models: Mapping[str, str]
    params: type[Any]
    tensors: str
    forward: Callable[[Graph, Any, Weights], Node]
    without_effect: Mapping[str, str]
    stacks: Stacks = field(default_factory=lambda: DECODER)


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
        family = self.family
        found = weights(family.tensors, self.params, self.tensors, family.stacks, graph.end_layer)
        family.forward(graph, self.params, found)
        return graph
