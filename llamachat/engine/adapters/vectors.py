"""Control vectors (Zou et al. 2023, arXiv 2310.01405) as GGUF files: `direction.N`, added to the output of layer N.

Layers count from 0; the first one has no direction. Several files are added.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Final

import numpy as np

from llamachat.engine.adapters.choice import Scaled, about
from llamachat.engine.arrays import NDArray
from llamachat.engine.gguf import GgufFile, TensorInfo, open_gguf, typed
from llamachat.engine.gguf.metadata import shown
from llamachat.engine.quants.tensors import decode, read
from llamachat.errors import ModelFileError, ShapeError, Unsupported

NAME: Final = re.compile(r"direction\.(\d{1,6})")
HINT: Final = "controlvector.model_hint"

Directions = dict[int, NDArray[np.float32]]
"""{layer: float32 [n_embd]}."""


@dataclass(frozen=True)
class ControlVector:
    """A control vector's file, and what is in it."""

    file: GgufFile
    directions: Directions


def open_vector(path: Path, architecture: str, n_embd: int, n_layer: int) -> ControlVector:
    """Reads a control vector and compares it with a model.

    Raises ModelFileError for a file that cannot be read or is none, ShapeError and Unsupported for another model's.
    """
    file = open_gguf(path)
    with about(path):
        _check(file, architecture)
        found = {_layer(one, n_embd, n_layer): decode(one, read(file, one)) for one in file.tensors.values()}
    return ControlVector(file, found)


def _check(file: GgufFile, architecture: str) -> None:
    kind = typed(file.metadata, "general.architecture", str, "a text", "")
    if kind != "controlvector" and not any(NAME.fullmatch(name) for name in file.tensors):
        raise ModelFileError(f"is {shown(kind)}: this file is no control vector", where="general.architecture")
    hint = typed(file.metadata, HINT, str, "a text", architecture)
    if hint != architecture:
        said = f"is {shown(hint)}, but the model is {architecture}: the vector belongs to another model"
        raise Unsupported(said, where=HINT)
    if not file.tensors:
        raise ModelFileError("the control vector has no directions")


def _layer(tensor: TensorInfo, n_embd: int, n_layer: int) -> int:
    """The layer of a direction that fits the model."""
    found = NAME.fullmatch(tensor.name)
    if found is None or int(found[1]) == 0:
        raise Unsupported("this tensor is not known in a control vector", where=shown(tensor.name))
    if int(found[1]) >= n_layer:
        raise Unsupported(f"the model has only {n_layer} layers: the vector belongs to another one", where=tensor.name)
    if prod(tensor.shape) != n_embd:
        said = f"the shape is {[*map(int, tensor.shape)]}, must be {[n_embd]} for this model"
        raise ShapeError(f"{said}: the vector belongs to another one", where=tensor.name)
    return int(found[1])


def added(vectors: Sequence[tuple[Directions, Scaled]], layers: tuple[int, int] | None) -> Directions:
    """The sum of vectors times their scales, in these layers (first and last)."""
    total: Directions = {}
    for directions, scaled in vectors:
        for layer, direction in directions.items():
            if scaled.scale and (layers is None or layers[0] <= layer <= layers[1]):
                term = np.float32(scaled.scale) * direction
                total[layer] = total[layer] + term if layer in total else term
    return total
