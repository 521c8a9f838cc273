"""Adapters that have been read and fit the model, and the forward pass with their operations."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from llamachat.engine.adapters.choice import Adapters, Scaled, about
from llamachat.engine.adapters.lora import DOWN, UP, Lora, Pair, open_lora
from llamachat.engine.adapters.vectors import added, open_vector
from llamachat.engine.adapters.weaving import Addition, Product, products, weave
from llamachat.engine.arrays import NDArray
from llamachat.engine.gguf import BY_NAME, GgufFile, TensorInfo
from llamachat.engine.gguf.fingerprint import fingerprint
from llamachat.engine.graph import Graph, Node, Tensor
from llamachat.engine.quants.tensors import decode, read
from llamachat.errors import Unsupported

TOKEN_EMBEDDING = "token_embd.weight"


@dataclass(frozen=True)
class Woven:
    """A forward pass with adapters. tensors: what they bring, float32 or float16 in memory, by name."""

    nodes: Sequence[Node]
    tensors: Mapping[str, TensorInfo]


@dataclass(frozen=True)
class Opened:
    """Adapters that fit a model.

    fingerprint: what tells them, with their scales, from others; "" where nothing changes the model. remarks:
    sentences for a person.
    """

    asked: Adapters
    lora: tuple[tuple[Lora, Scaled], ...] = ()
    directions: Mapping[int, NDArray[np.float32]] | None = None
    fingerprint: str = ""
    remarks: tuple[str, ...] = ()

    def woven(self, graph: Graph, values: Callable[[Tensor], NDArray[np.float32]]) -> Woven:
        """The forward pass with their operations; `graph` itself where there are none.

        values: those of a tensor of the model, float32 [n_values]. Raises ModelFileError for what is not finite.
        """
        tensors: dict[str, TensorInfo] = {}
        additions = {}
        for name, found in products(graph.nodes).items():
            shares = [Share(one, one.pairs[name], by.scale) for one, by in self.lora if by.scale and name in one.pairs]
            if shares:
                scales = values(found[0].scale) if found[0].scale is not None else None
                additions[name] = _addition(found, shares, tensors, scales)
        directions = {}
        for layer, direction in (self.directions or {}).items():
            directions[layer] = _kept(f"direction.{layer}", direction, tensors)
        return Woven(weave(graph, additions, directions), tensors)


def open_adapters(asked: Adapters, architecture: str, tensors: Mapping[str, Tensor], graph: Graph) -> Opened:
    """Reads what is asked for and compares it with a model. graph: its forward pass without adapters.

    Raises ModelFileError for files that are none or belong to another model.
    """
    lora = tuple((open_lora(one.path, architecture, tensors), one) for one in asked.lora)
    remarks = [remark for one, scaled in lora for remark in _remarks(one, scaled, graph)]
    n_embd, n_layer = (graph.layer_ends[0].width, len(graph.layer_ends)) if graph.layer_ends else (0, 0)
    if asked.vectors and not n_layer:
        raise Unsupported(f"control vectors are not supported for {architecture}", asked.vectors[0].path)
    vectors = [(open_vector(one.path, architecture, n_embd, n_layer), one) for one in asked.vectors]
    directions = added([(one.directions, by) for one, by in vectors], asked.layers)
    if vectors and asked.layers is not None and not directions:
        first, last = asked.layers
        remarks.append(f"no control vector has a direction for layers {first} to {last}: the model stays as it is")
    files = [*(("lora", one.file, by) for one, by in lora), *(("vectors", one.file, by) for one, by in vectors)]
    return Opened(asked, lora, directions, _fingerprint(asked, files), tuple(remarks))


def _remarks(lora: Lora, scaled: Scaled, graph: Graph) -> list[str]:
    """About tensors that no product reads: without effect here, as in llama.cpp. Raises Unsupported for embeddings."""
    unused = [name for name in lora.pairs if name not in products(graph.nodes)]
    if TOKEN_EMBEDDING in unused:
        said = "adapters of token embeddings are not supported"
        raise Unsupported(said, scaled.path, TOKEN_EMBEDDING)
    if len(unused) == len(lora.pairs):
        raise Unsupported("the adapter changes none of the model's matrix products", scaled.path)
    if not unused:
        return []
    what = f"{unused[0]} is" if len(unused) == 1 else f"{unused[0]} and {len(unused) - 1} more are"
    return [f"{scaled.path.name}: {what} in no matrix product, and without effect"]


def _addition(
    found: Sequence[Product],
    shares: Sequence[Share],
    tensors: dict[str, TensorInfo],
    scales: NDArray[np.float32] | None,
) -> Addition:
    """Several adapters' matrices for one weight, side by side: the sum is one product of the ranks' sum."""
    half = all(tensor.type.name == "F16" for one in shares for tensor in (one.pair.down, one.pair.up))
    dtype = np.float16 if half else np.float32
    (*experts, n_out, n_in), name = found[0].weight.shape, found[0].weight.name
    downs = [one.values(one.pair.down, (*experts, one.pair.rank, n_in)).astype(dtype) for one in shares]
    ups = [one.values(one.pair.up, (*experts, n_out, one.pair.rank)).astype(dtype) for one in shares]
    factors = [one.lora.factor(one.pair, one.scale) for one in shares for _ in range(one.pair.rank)]
    down, up = np.concatenate(downs, axis=-2), np.concatenate(ups, axis=-1)
    if scales is not None:
        up = up * (scales.reshape(-1, 1, 1) if experts else scales)
    parts = {}
    for first, width in dict.fromkeys(product.part for product in found):
        kept = f"{name}{UP}[{first}:{first + width}]"
        parts[first, width] = _kept(kept, up[..., first : first + width, :], tensors)
    return Addition(
        _kept(f"{name}{DOWN}", down, tensors),
        parts,
        _kept(f"{name}.factors", np.array(factors, np.float32), tensors),
    )


@dataclass(frozen=True)
class Share:
    """One adapter's share in the addition to a matrix."""

    lora: Lora
    pair: Pair
    scale: float

    def values(self, tensor: TensorInfo, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """A tensor of the adapter as float32 [*shape]. Raises ModelFileError for values that are not finite."""
        with about(self.lora.file.path):
            return decode(tensor, read(self.lora.file, tensor)).reshape(shape)


def _kept(name: str, values: NDArray[np.floating], tensors: dict[str, TensorInfo]) -> Tensor:
    """Notes an array as a tensor of the forward pass."""
    values = np.ascontiguousarray(values)
    kind = BY_NAME["F16" if values.dtype == np.float16 else "F32"]
    data = values.reshape(-1).view(np.uint8)
    tensors[name] = TensorInfo(name, kind, values.shape, data.nbytes, data)
    return Tensor(name, values.shape)


def _fingerprint(asked: Adapters, files: Sequence[tuple[str, GgufFile, Scaled]]) -> str:
    """Of what changes the model; files: as they were read."""
    if not asked.active:
        return ""
    digest = hashlib.sha256()
    for kind, file, by in files:
        if by.scale:
            digest.update(f"{kind} {by.scale!r} {fingerprint(file)}\n".encode())
    digest.update(repr(asked.layers).encode())
    return digest.hexdigest()
