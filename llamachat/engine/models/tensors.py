"""The language of tensor tables: which tensors a model file must have, which it may have, and their shapes.

    output.weight?              n_vocab n_embd              # ? = optional
    blk.*.attn_q.weight         n_head*head_dim n_embd      # * = one per layer; products, quotients, sums
    blk.*.attn_q.weight n_embd n_embd when fused_qkv == 0   # exists only where this holds
    [layer >= n_dense and layer+1%step == 0]                # so does all that follows; % is a remainder
    blk.*.ffn_gate_inp.weight   n_expert n_embd
    [else]                                                  # where it does not hold; [] ends it
    blk.*.ffn_gate.weight       n_ff n_embd

Words are the fields and properties of the architecture's parameters (a `PerLayer` one means the layer's value), whole
numbers and, in a condition, `layer`. What stands before the star is a stack of layers: `blk`, or `enc.blk`, `dec.blk`,
`v.blk`, whose heights `Stacks` tells. The table is the security check: a tensor that it does not declare, a missing one
or another shape is refused before a pointer exists.
"""

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from inspect import getmembers
from typing import Any, Final, Protocol

from llamachat.engine.graph import Layer, Tensor
from llamachat.engine.graph.shapes import without_ones
from llamachat.engine.models.params import Params, PerLayer, shown
from llamachat.errors import ModelFileError, ShapeError, Unsupported

COMPARISONS: Final[Mapping[str, Callable[[int, int], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


BESIDE: Final = ("bias", "scale")
"""Endings of tensors that belong to a weight of the same name, if the table has one: the fields of a `Layer`."""


class Shaped(Protocol):
    """What is asked of a tensor of the file: its shape, rows first."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102


@dataclass(frozen=True)
class Declared:
    """A tensor that the table names for these parameters."""

    shape: tuple[int, ...]
    optional: bool


Stacks = Mapping[str, str]
"""{what stands before the star: the parameter that counts its layers}."""

DECODER: Final[Stacks] = {"blk": "n_layer"}


class Weights:
    """The tensors as a forward pass names them: `w.output_norm`, `w.blk[0].attn_q` are `Layer`s.

    Dots become underscores: `enc.output_norm` is `w.enc_output_norm`, the layers of `enc.blk` are `w.enc_blk`. A bias
    without a weight is a `Layer` of its own. None where an optional tensor is absent; AttributeError for a name that
    the table does not have.
    """

    def __init__(self, layers: Mapping[str, Any], prefix: str = "") -> None:
        self._layers, self._prefix = layers, prefix

    def __getattr__(self, name: str) -> Any:
        try:
            return self._layers[name]
        except KeyError:
            raise AttributeError(f"the tensor table does not declare {name}") from None

    def has(self, name: str) -> bool:
        """Whether the table declares the name and the file has the tensor."""
        return self._layers.get(name) is not None

    def need(self, name: str) -> Layer:
        """A layer that the table calls optional, and that is needed in this file.

        Raises ModelFileError, with the tensor's name, where it is absent.
        """
        found: Layer | None = getattr(self, name)
        if found is None:
            raise ModelFileError("this tensor is missing", where=f"{self._prefix}{name}.weight")
        return found


class Layers(tuple[Weights, ...]):
    """The layers of a stack. Whoever goes through them in a loop says with each step that a layer ends."""

    ended: Callable[[int], None]

    def __iter__(self) -> Iterator[Weights]:
        """Calls `ended` with the number of each layer when the next one is asked for."""
        for number, layer in enumerate(super().__iter__()):
            yield layer
            self.ended(number)


def declared_tensors(table: str, params: Params, stacks: Stacks = DECODER) -> dict[str, Declared]:
    """{tensor name: shape and whether it is optional} of a table for these parameters."""
    names = {f.name: getattr(params, f.name) for f in fields(params)}  # type: ignore[arg-type]
    derived = getmembers(type(params), lambda one: isinstance(one, property))
    names |= {name: getattr(params, name) for name, _ in derived if name in table}
    condition = ""
    result: dict[str, Declared] = {}
    for line in _lines(table):
        if line.startswith("["):
            condition = f"not {condition}" if line == "[else]" else line.strip("[] ")
            continue
        text, _, own = line.partition(" when ")
        pattern, *dimensions = text.split()
        for layer in range(_height(pattern, names, stacks)):
            here = _of_layer(names, layer)
            if all(_holds(one, here) for one in (condition, own) if one):
                name = pattern.rstrip("?").replace("*", str(layer))
                result[name] = Declared(tuple(_dimension(text, here) for text in dimensions), pattern.endswith("?"))
    return result


def _height(pattern: str, names: Mapping[str, Any], stacks: Stacks) -> int:
    """How many tensors a pattern stands for: the layers of its stack, or one."""
    return int(names[stacks[pattern.partition(".*")[0]]]) if "*" in pattern else 1


def _of_layer(names: Mapping[str, Any], layer: int) -> Mapping[str, Any]:
    """The words as they are for a layer."""
    own = {n: value[layer] for n, value in names.items() if isinstance(value, PerLayer) and layer < len(value)}
    return {**names, **own, "layer": layer}


def check_tensors(
    table: str, params: Params, found: Mapping[str, Shaped], stacks: Stacks = DECODER
) -> dict[str, Tensor]:
    """The tensors of the file, each one as the table declares it: dimensions of 1 behind a tensor's own change nothing.

    Raises ModelFileError for a missing tensor, Unsupported for one that is not declared, ShapeError for a shape.
    """
    for count in stacks.values():
        if getattr(params, count) > len(found):
            raise ModelFileError(f"the file says {getattr(params, count)} layers, but has only {len(found)} tensors")
    declared = declared_tensors(table, params, stacks)
    for name, wanted in declared.items():
        if name not in found and not wanted.optional:
            raise ModelFileError("this tensor is missing", where=name)
    patterns = _patterns(table)
    for name, tensor in found.items():
        if name not in declared:
            raise Unsupported("this tensor is not known for this architecture", where=shown(name))
        stem, _, leaf = name.rpartition(".")
        belongs = leaf in BESIDE and re.sub(r"\.\d+\.", ".*.", f"{stem}.weight") in patterns
        if belongs and f"{stem}.weight" not in found:
            raise ModelFileError(f"this tensor belongs to {stem}.weight, which is missing", where=name)
        if without_ones(tensor.shape) != without_ones(declared[name].shape):
            wanted_shape, shape = list(declared[name].shape), [int(n) for n in tensor.shape]
            raise ShapeError(f"the shape is {shape}, must be {wanted_shape}", where=name)
    return {name: Tensor(name, wanted.shape) for name, wanted in declared.items() if name in found}


def weights(
    table: str,
    params: Params,
    tensors: Mapping[str, Tensor],
    stacks: Stacks = DECODER,
    ended: Callable[[int], None] = lambda number: None,
) -> Weights:
    """The checked tensors by the names that a forward pass uses. ended: called where a layer of `blk` ends."""
    patterns = _patterns(table)
    found: dict[str, Any] = _layers([name for name in patterns if "*" not in name], "", tensors)
    for stack, count in stacks.items():
        own = [pattern for pattern in patterns if pattern.startswith(f"{stack}.*.")]
        layers = Layers(
            Weights(_layers([one.replace("*", str(i), 1) for one in own], f"{stack}.{i}.", tensors), f"{stack}.{i}.")
            for i in range(getattr(params, count))
        )
        layers.ended = ended if stack == "blk" else lambda number: None
        found[_attribute(stack)] = layers
    return Weights(found)


def _patterns(table: str) -> list[str]:
    return [line.split()[0].rstrip("?") for line in _lines(table) if not line.startswith("[")]


def _layers(names: list[str], prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Layer | None]:
    """{name without prefix and ".weight": Layer}; bias and scale belong to their weight where the table has one."""
    result: dict[str, Layer | None] = {}
    for name in names:
        stem, _, leaf = name.rpartition(".")
        if leaf in BESIDE and f"{stem}.weight" in names:
            continue
        own = stem if leaf in ("weight", "bias") else name
        beside = [tensors.get(f"{stem}.{kind}") if leaf == "weight" else None for kind in BESIDE]
        layer = Layer(tensors[name], *beside) if name in tensors else None
        result[_attribute(own.removeprefix(prefix))] = layer
    return result


def _attribute(name: str) -> str:
    return name.replace(".", "_")


def _lines(table: str) -> Iterator[str]:
    for line in table.splitlines():
        if text := line.partition("#")[0].strip():
            yield text


def _dimension(text: str, names: Mapping[str, Any]) -> int:
    """A sum of terms, each a product and quotient of words from left to right: `n_head*head_dim+2*n_rot/2`."""
    if "+" in text:
        return sum(_dimension(term, names) for term in text.split("+"))
    first, *rest = re.split(r"([*/])", text)
    value = _word(first, names)
    for sign, word in zip(rest[::2], rest[1::2], strict=True):
        value = value * _word(word, names) if sign == "*" else value // _word(word, names)
    return value


def _holds(condition: str, names: Mapping[str, Any]) -> bool:
    if condition.startswith("not "):
        return not _holds(condition.removeprefix("not "), names)
    parts = [part.split() for part in condition.split(" and ")]
    return all(COMPARISONS[sign](_number(left, names), _number(right, names)) for left, sign, right in parts)


def _number(text: str, names: Mapping[str, Any]) -> int:
    """A dimension, or what is left of it after a division: `layer+1%step`."""
    whole, _, divisor = text.partition("%")
    return _dimension(whole, names) % _dimension(divisor, names) if divisor else _dimension(whole, names)


def _word(word: str, names: Mapping[str, Any]) -> int:
    return int(word) if word.isdigit() else int(names[word])
