"""The language of tensor tables: which tensors a model file must have, which it may have, and their shapes.

    output.weight?              n_vocab n_embd              # ? = optional
    blk.*.attn_q.weight         n_head*head_dim n_embd      # * = one per layer; dimensions: products and quotients
    [layer >= n_dense]                                      # what follows exists where this holds; [] ends it
    blk.*.ffn_gate_inp.weight   n_expert n_embd

Words are the fields of the architecture's parameters, whole numbers and, in a condition, `layer`. The table is the
security check: a tensor that it does not declare, a missing one or another shape is refused before a pointer exists.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Protocol

from llamachat.engine.graph import Layer, Tensor
from llamachat.engine.models.params import Params, shown
from llamachat.errors import ModelFileError, ShapeError, Unsupported

COMPARISONS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class Shaped(Protocol):
    """What is asked of a tensor of the file: its shape, rows first."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102


@dataclass(frozen=True)
class Declared:
    """A tensor that the table names for these parameters."""

    shape: tuple[int, ...]
    optional: bool


class Weights:
    """The tensors as a forward pass names them: `w.output_norm`, `w.blk[0].attn_q` are `Layer`s.

    None where an optional tensor is absent; AttributeError for a name that the table does not have.
    """

    def __init__(self, layers: Mapping[str, Layer | None], blk: tuple["Weights", ...] = ()) -> None:
        self._layers = layers
        self.blk = blk

    def __getattr__(self, name: str) -> Any:
        try:
            return self._layers[name]
        except KeyError:
            raise AttributeError(f"the tensor table does not declare {name}") from None


def declared_tensors(table: str, params: Params) -> dict[str, Declared]:
    """{tensor name: shape and whether it is optional} of a table for these parameters."""
    names = {f.name: getattr(params, f.name) for f in fields(params)}  # type: ignore[arg-type]
    condition = ""
    result: dict[str, Declared] = {}
    for line in _lines(table):
        if line.startswith("["):
            condition = line.strip("[] ")
            continue
        pattern, *dimensions = line.split()
        shape = tuple(_dimension(text, names) for text in dimensions)
        for layer in range(params.n_layer) if "*" in pattern else (0,):
            if not condition or _holds(condition, {**names, "layer": layer}):
                name = pattern.rstrip("?").replace("*", str(layer))
                result[name] = Declared(shape, pattern.endswith("?"))
    return result


def check_tensors(table: str, params: Params, found: Mapping[str, Shaped]) -> dict[str, Tensor]:
    """The tensors of the file, each one as the table declares it: dimensions of 1 behind a tensor's own change nothing.

    Raises ModelFileError for a missing tensor, Unsupported for one that is not declared, ShapeError for a shape.
    """
    if params.n_layer > len(found):
        raise ModelFileError(f"the file says {params.n_layer} layers, but has only {len(found)} tensors")
    declared = declared_tensors(table, params)
    for name, wanted in declared.items():
        if name not in found and not wanted.optional:
            raise ModelFileError("this tensor is missing", where=name)
    for name, tensor in found.items():
        if name not in declared:
            raise Unsupported("this tensor is not known for this architecture", where=shown(name))
        if _without_ones(tensor.shape) != _without_ones(declared[name].shape):
            wanted_shape, shape = list(declared[name].shape), [int(n) for n in tensor.shape]
            raise ShapeError(f"the shape is {shape}, must be {wanted_shape}", where=name)
    return {name: Tensor(name, wanted.shape) for name, wanted in declared.items() if name in found}


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without dimensions of 1 before its rows: ggml counts four dimensions everywhere, the last ones first."""
    first = next((i for i, size in enumerate(shape) if size != 1), len(shape))
    return tuple(shape[first:])


def weights(table: str, params: Params, tensors: Mapping[str, Tensor]) -> Weights:
    """The checked tensors by the names that a forward pass uses."""
    patterns = [line.split()[0].rstrip("?") for line in _lines(table) if not line.startswith("[")]
    blk = tuple(Weights(_layers(_own(patterns, f"blk.{i}."), f"blk.{i}.", tensors)) for i in range(params.n_layer))
    return Weights(_layers([name for name in patterns if "*" not in name], "", tensors), blk)


def _own(patterns: list[str], prefix: str) -> list[str]:
    return [pattern.replace("blk.*.", prefix) for pattern in patterns if "*" in pattern]


def _layers(names: list[str], prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Layer | None]:
    """{name without prefix and ".weight": Layer}; a bias belongs to its weight."""
    result: dict[str, Layer | None] = {}
    for name in names:
        stem, _, leaf = name.rpartition(".")
        if leaf == "weight":
            bias = tensors.get(f"{stem}.bias")
            result[stem.removeprefix(prefix)] = Layer(tensors[name], bias) if name in tensors else None
        elif leaf != "bias":
            result[name.removeprefix(prefix)] = Layer(tensors[name]) if name in tensors else None
    return result


def _lines(table: str) -> Iterator[str]:
    for line in table.splitlines():
        if text := line.partition("#")[0].strip():
            yield text


def _dimension(text: str, names: Mapping[str, int]) -> int:
    """A product and quotient of words, from left to right: `n_head*head_dim`, `n_rot/2`."""
    first, *rest = re.split(r"([*/])", text)
    value = _word(first, names)
    for sign, word in zip(rest[::2], rest[1::2], strict=True):
        value = value * _word(word, names) if sign == "*" else value // _word(word, names)
    return value


def _holds(condition: str, names: Mapping[str, int]) -> bool:
    left, sign, right = condition.split()
    return COMPARISONS[sign](_word(left, names), _word(right, names))


def _word(word: str, names: Mapping[str, int]) -> int:
    return int(word) if word.isdigit() else names[word]
