"""What an architecture is (data and a forward pass), and what a model is once its file has been checked against it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from llamachat.engine.graph import Graph, Node, Tensor
from llamachat.engine.models.params import Params
from llamachat.engine.models.tensors import DECODER, Stacks, Weights, weights
from llamachat.engine.plan.ends import hidden
from llamachat.errors import Unsupported


@dataclass(frozen=True)
class Architecture:
    """What a file of `families/` exports as `ARCHITECTURE`.

    models: {value of `general.architecture`: the models that have it, as people call them}. params: a frozen
    dataclass whose fields are made by `key`, most of them inherited (see base.py). tensors: the table (see tensors.py).
    forward: writes the forward pass, returns the logits. without_effect: {metadata key without prefix: why it changes
    nothing here}. stacks: layers other than a decoder's. encoder: writes what an encoder-decoder makes of the tokens
    that it reads; None for all others.
    """

    models: Mapping[str, str]
    params: type[Any]
    tensors: str
    forward: Callable[[Graph, Any, Weights], Node]
    without_effect: Mapping[str, str]
    stacks: Stacks = field(default_factory=lambda: DECODER)
    encoder: Callable[[Graph, Any, Weights], Node] | None = None


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

    def graph(self, causal: bool | None = None) -> Graph:
        """The forward pass; its last node is the logits [n_tokens, n_vocab], or an encoder's embeddings.

        causal: whether tokens see only those before them; None: as the file says. Raises Unsupported where the
        architecture cannot do otherwise.
        """
        graph = Graph(causal=getattr(self.params, "causal", True) if causal is None else causal)
        self.family.forward(graph, self.params, self._weights(graph))
        if causal and any(node.needs_whole for node in graph.nodes):
            raise Unsupported(
                f"the architecture {self.architecture} cannot be causal: its tokens see all of their text"
            )
        return graph

    def embedding_graph(self, causal: bool | None = None) -> Graph:
        """What makes embeddings: the encoder where there is one, else the forward pass up to what the head reads.

        Raises Unsupported as `graph`, and where nothing is read by a head.
        """
        if self.family.encoder is not None:
            graph = Graph(causal=False)
            self.family.encoder(graph, self.params, self._weights(graph))
            return graph
        graph = self.graph(causal)
        last = hidden(graph.nodes)
        if last is None:
            raise Unsupported(f"the architecture {self.architecture} has no hidden states to make embeddings of")
        del graph.nodes[graph.nodes.index(last) + 1 :]
        return graph

    def _weights(self, graph: Graph) -> Weights:
        return weights(self.family.tensors, self.params, self.tensors, self.family.stacks, graph.end_layer)
