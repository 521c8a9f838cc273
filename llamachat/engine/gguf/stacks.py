"""Opening a file: its experts' matrices as one tensor each, also where an early file has a tensor for every expert.

Files with experts from before April 2024 (the first ones of Mixtral and Grok) call them `blk.0.ffn_gate.0.weight`,
`blk.0.ffn_gate.1.weight`, ...; later ones have `blk.0.ffn_gate_exps.weight` in their place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from llamachat.engine.gguf import reader
from llamachat.engine.gguf.reader import GgufFile, TensorInfo
from llamachat.errors import Unsupported

ONE_EXPERT: Final = re.compile(r"^(?P<stem>blk\.\d{1,5}\.ffn_(?:gate|up|down))\.(?P<number>\d{1,5})\.weight$", re.ASCII)


def open_gguf(path: str | Path) -> GgufFile:
    """The file, mapped and checked, with all parts of a split one, and experts' matrices stacked.

    Raises ModelFileError, with the path and the place in the file, or Unsupported for what is well formed but unknown.
    """
    file = reader.open_gguf(path)
    return replace(file, tensors=stacked(file.tensors, file.path))


def stacked(tensors: Mapping[str, TensorInfo], path: Path) -> dict[str, TensorInfo]:
    """The tensors, with those of one expert each joined to one [n_expert, n_out, n_in] where all of them are there.

    Raises Unsupported where the experts of a layer have different types.
    """
    apart: dict[str, dict[int, TensorInfo]] = {}
    for name, tensor in tensors.items():
        if found := ONE_EXPERT.match(name):
            apart.setdefault(found["stem"], {})[int(found["number"])] = tensor
    result = dict(tensors)
    for stem, experts in apart.items():
        pieces = tuple(experts[i] for i in sorted(experts))
        whole = f"{stem}_exps.weight"
        if whole in tensors or sorted(experts) != [*range(len(experts))] or len({one.shape for one in pieces}) > 1:
            continue  # refused by name, like any tensor that is not known
        if len({(one.type, one.interleaving) for one in pieces}) > 1:
            raise Unsupported("the experts of this layer have different block types", path, stem)
        for piece in pieces:
            del result[piece.name]
        n_bytes = sum(piece.n_bytes for piece in pieces)
        shape = (len(pieces), *pieces[0].shape)
        result[whole] = replace(pieces[0], name=whole, shape=shape, n_bytes=n_bytes, pieces=pieces)
    return result
