"""What an importance matrix says of a model: how large a tensor's inputs are, how even, how like the layer before's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.prepare.importance import Importance

ACTIVE: Final = 1e-5
"""Mean squares above which a column counts as used."""

_NAME = re.compile(r"blk\.(\d+)\.(.*?)(\.weight)?$")

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Statistics:
    """Of one tensor, or of a layer's tensors together: mean squares of the columns of its inputs.

    layer: -1 for none. active: the share of columns above `ACTIVE`. entropy: of the columns' shares in the sum, in
    bits, and divided by that of equal shares (evenness, 1: all alike). cosine: with the same of the layer before; None
    where there is none.
    """

    layer: int
    tensor: str
    n_columns: int
    total: float
    mean: float
    deviation: float
    smallest: float
    largest: float
    active: float
    entropy: float
    evenness: float
    cosine: float | None


def tensor_statistics(found: Importance) -> list[Statistics]:
    """Of every tensor, the layers in their order."""
    values = {name: entry.means().astype(np.float64) for name, entry in found.entries.items()}
    places = {name: _place(name) for name in values}
    by_place = {place: values[name] for name, place in places.items()}
    ordered = sorted(values, key=lambda name: (places[name][0] if places[name][0] >= 0 else 1 << 30, places[name][1]))
    return [_of(places[name], values[name], by_place) for name in ordered]


def layer_statistics(found: Importance) -> list[Statistics]:
    """Of every layer, over the tensors that it shares with the one before, if there are any, else over all."""
    layers: dict[int, dict[str, Doubles]] = {}
    for name, entry in sorted(found.entries.items()):
        layer, tensor = _place(name)
        if layer >= 0:
            layers.setdefault(layer, {})[tensor] = entry.means().astype(np.float64)
    made = []
    for layer, own in sorted(layers.items()):
        before = layers.get(layer - 1, {})
        shared = [name for name in own if name in before and before[name].size == own[name].size]
        names = shared or list(own)
        joined = {(layer, ""): np.concatenate([own[name] for name in names])}
        if shared:
            joined[layer - 1, ""] = np.concatenate([before[name] for name in shared])
        made.append(_of((layer, ""), joined[layer, ""], joined))
    return made


def _place(name: str) -> tuple[int, str]:
    """(layer, short name) of a tensor's name."""
    match = _NAME.match(name)
    return (int(match[1]), match[2]) if match else (-1, name.removesuffix(".weight"))


def _of(place: tuple[int, str], values: Doubles, others: Mapping[tuple[int, str], Doubles]) -> Statistics:
    total = float(values.sum())
    shares = values[values > 0] / total if total > 0 else values[:0]
    entropy = float(-(shares * np.log2(shares)).sum())
    before = others.get((place[0] - 1, place[1]))
    return Statistics(
        layer=place[0],
        tensor=place[1],
        n_columns=values.size,
        total=total,
        mean=float(values.mean()),
        deviation=float(values.std()),
        smallest=float(values.min()),
        largest=float(values.max()),
        active=float((values > ACTIVE).mean()),
        entropy=entropy,
        evenness=entropy / np.log2(values.size) if values.size > 1 else 1.0,
        cosine=_cosine(before, values) if before is not None and before.size == values.size else None,
    )


def _cosine(a: Doubles, b: Doubles) -> float:
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths > 0 else 1.0
