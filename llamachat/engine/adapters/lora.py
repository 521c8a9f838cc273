"""LoRA adapters (Hu et al. 2021, arXiv 2106.09685) as GGUF files, of which `convert_lora_to_gguf.py` writes some.

For a matrix W of the model there are `<name>.lora_a` [rank, n_in] and `<name>.lora_b` [n_out, rank], those of experts
with their number before: y = W x + scale * alpha / rank * B (A x). Without an alpha (0) the
factor is `scale` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from llamachat.engine.adapters.choice import about
from llamachat.engine.gguf import GgufFile, TensorInfo, open_gguf, typed
from llamachat.engine.gguf.metadata import shown
from llamachat.engine.graph import Tensor
from llamachat.engine.graph.shapes import without_ones
from llamachat.errors import ModelFileError, ShapeError, Unsupported

DOWN, UP = ".lora_a", ".lora_b"
LARGEST_RANK: Final = 4096
ALPHA: Final = "adapter.lora.alpha"
INVOCATION: Final = "adapter.alora.invocation_tokens"


@dataclass(frozen=True)
class Pair:
    """A and B of one matrix, in the file."""

    down: TensorInfo
    up: TensorInfo
    rank: int


@dataclass(frozen=True)
class Lora:
    """An adapter's file. pairs: by the names of the model's tensors."""

    file: GgufFile
    alpha: float
    pairs: Mapping[str, Pair]

    def factor(self, pair: Pair, scale: float) -> float:
        """What B (A x) is multiplied by."""
        return scale * self.alpha / pair.rank if self.alpha else scale


def open_lora(path: Path, architecture: str, tensors: Mapping[str, Tensor]) -> Lora:
    """Reads an adapter and compares it with a model's architecture and tensors.

    Raises ModelFileError for a file that cannot be read or is no adapter, ShapeError where it does not fit the
    model's tensors, Unsupported for another model's and for kinds of adapters that are not known.
    """
    file = open_gguf(path)
    with about(path):
        return _checked(file, architecture, tensors)


def _checked(file: GgufFile, architecture: str, tensors: Mapping[str, Tensor]) -> Lora:
    metadata = file.metadata
    kind = typed(metadata, "general.type", str, "a text", "model")
    if kind != "adapter":
        raise ModelFileError(f"is {shown(kind)}: this file is no LoRA adapter", where="general.type")
    kind = typed(metadata, "adapter.type", str, "a text", "")
    if kind != "lora":
        raise Unsupported(f"is {shown(kind)}, which is not supported (only lora)", where="adapter.type")
    name = typed(metadata, "general.architecture", str, "a text", "")
    if name != architecture:
        said = f"is {shown(name)}, but the model is {architecture}: the adapter belongs to another model"
        raise Unsupported(said, where="general.architecture")
    if INVOCATION in metadata:
        raise Unsupported("the adapter begins at certain tokens (aLoRA), which is not supported", where=INVOCATION)
    alpha = typed(metadata, ALPHA, (int, float), "a number", 0.0)
    if not abs(alpha) < 1e9:
        raise ModelFileError(f"is {shown(alpha)}, must be a number below 1e9", where=ALPHA)
    return Lora(file, float(alpha), _pairs(file, tensors))


def _pairs(file: GgufFile, tensors: Mapping[str, Tensor]) -> dict[str, Pair]:
    names = dict.fromkeys(_stem(name) for name in file.tensors)
    if not names:
        raise ModelFileError("the adapter has no tensors")
    found = {}
    for name in names:
        if name not in tensors:
            said = "the model has no such tensor: the adapter belongs to another model"
            raise Unsupported(said, where=shown(name))
        down, up = file.tensors.get(name + DOWN), file.tensors.get(name + UP)
        if down is None or up is None:
            raise ModelFileError("this tensor is missing", where=shown(name + (DOWN if down is None else UP)))
        found[name] = _pair(down, up, tensors[name])
    return found


def _stem(name: str) -> str:
    """The model's tensor that an adapter's is about."""
    for ending in (DOWN, UP):
        if name.endswith(ending):
            return name.removesuffix(ending)
    raise Unsupported("this tensor is not known in an adapter", where=shown(name))


def _pair(down: TensorInfo, up: TensorInfo, weight: Tensor) -> Pair:
    """Raises ShapeError where they do not fit each other and the model's matrix."""
    if len(weight.shape) < 2:
        raise Unsupported("this tensor of the model is no matrix, and adapters are for matrices", where=weight.name)
    *experts, n_out, n_in = weight.shape
    rank = up.shape[-1] if up.shape else 0
    if not 1 <= rank <= LARGEST_RANK:
        raise ShapeError(f"the rank is {rank}, must be from 1 to {LARGEST_RANK}", where=up.name)
    for tensor, wanted in ((down, (*experts, rank, n_in)), (up, (*experts, n_out, rank))):
        if without_ones(tensor.shape) != without_ones(wanted):
            said = f"the shape is {[*map(int, tensor.shape)]}, must be {[*wanted]} for this model"
            raise ShapeError(f"{said}: the adapter belongs to another one", where=tensor.name)
    return Pair(down, up, rank)
