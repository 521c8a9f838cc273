"""What kinds of operations a model's forward pass has, in words; and what is known of every supported architecture."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from llamachat.engine.graph import AddPositions, Attention, ExpertLinear, Node, Rope, Temperature, TextAttention
from llamachat.engine.models import architectures, module_of
from llamachat.engine.state.spec import RecurrentSpec

DATA: Final = "features.json"
"""{architecture: features}, beside this file; `tools/make_models_docs.py` writes it from the golden models."""

Test = Callable[[Node], bool]


def _named(*names: str) -> Test:
    return lambda node: type(node).__name__ in names


def _biased(node: Node, kind: str) -> bool:
    """Whether a text's attention has a bias of this kind."""
    return isinstance(node, TextAttention) and node.bias is not None and bool(getattr(node.bias, kind))


FEATURES: Final[Mapping[str, Test]] = {
    "encoder": _named("TextAttention"),
    "cross-attention": _named("CrossAttention"),
    "rotary": lambda node: isinstance(node, Rope),
    "long and short factors": lambda node: isinstance(node, Rope) and node.spec.long_factors is not None,
    "position embeddings": lambda node: isinstance(node, AddPositions),
    "ALiBi": lambda node: (isinstance(node, Attention) and bool(node.slopes)) or _biased(node, "largest"),
    "windows": lambda node: (isinstance(node, Attention) and node.window > 0) or _biased(node, "window"),
    "chunks": lambda node: isinstance(node, Attention) and node.chunk > 0,
    "sinks": lambda node: isinstance(node, Attention) and node.sinks is not None,
    "soft caps": lambda node: isinstance(node, Attention) and node.soft_cap > 0,
    "shared keys and values": lambda node: isinstance(node, Attention) and not node.stores,
    "temperature": lambda node: isinstance(node, Temperature),
    "latent attention": _named("LatentAttention"),
    "experts": lambda node: isinstance(node, ExpertLinear),
    "recurrent": lambda node: isinstance(node.state, RecurrentSpec),
}
"""Words for what an operation shows."""


def features_of(nodes: Sequence[Node]) -> list[str]:
    """The features of a forward pass, in the order of `FEATURES`."""
    return [name for name, test in FEATURES.items() if any(map(test, nodes))]


@dataclass(frozen=True)
class Supported:
    """An architecture: its name in files, the file in `families/`, the models that have it, its features."""

    name: str
    family: str
    models: str
    features: tuple[str, ...]


def supported() -> list[Supported]:
    """Every architecture of the package, by name."""
    known: dict[str, list[str]] = json.loads(files(__package__).joinpath(DATA).read_text("utf-8"))
    return [
        Supported(name, module_of(name), models, tuple(known.get(name, ()))) for name, models in architectures().items()
    ]
