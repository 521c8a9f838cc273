"""The tensors of the result: their types, their shapes before anything is read, and their bytes when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.gguf.types import BY_NAME
from llamachat.engine.gguf.writer import Data
from llamachat.engine.quants import FORMATS, Format
from llamachat.errors import ModelFileError
from llamachat.prepare.convert.rules import Planned
from llamachat.prepare.convert.source import Floats, Source
from llamachat.prepare.convert.steps import run_steps

PACKED: Final = {"mxfp4": "MXFP4"}
"""Steps whose result are blocks, and of which type."""

FULL_PRECISION: Final = (
    *("_norm.weight", "ffn_gate_inp.weight", "ffn_gate_inp_shexp.weight", "position_embd.weight", "token_types.weight"),
    *(
        "ssm_conv1d.weight",
        "shortconv.conv.weight",
        "time_mix_first.weight",
        "time_mix_w1.weight",
        "time_mix_w2.weight",
    ),
    *("time_mix_decay_w1.weight", "time_mix_decay_w2.weight", "time_mix_lerp_fused.weight", "attn_rel_b.weight"),
)
"""Ends of names whose tensors stay float32: small, and what follows hangs on their last digits."""

PIECE: Final = 1 << 22

Add = Callable[[int], None]
Encode = Callable[[Format, NDArray[np.float32]], NDArray[np.uint8]]
"""As `Device.encode`."""


@dataclass(frozen=True)
class Written:
    """A tensor of the result.

    data: called with what counts written bytes and what turns rows into blocks, gives what `write_gguf` wants.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    data: Callable[[Add, Encode], Data | Callable[[], Data]]

    @classmethod
    def of_values(cls, name: str, values: Floats) -> Written:
        """One that no checkpoint has, float32."""

        def data(add: Add, _: Encode) -> Data:
            add(values.nbytes)
            return values

        return cls(name, "F32", values.shape, data)


def result_shape(planned: Planned, settings: Mapping[str, object]) -> tuple[int, ...]:
    """The shape that a tensor will have, in numbers. Raises ModelFileError where experts differ or steps do not fit."""
    shapes = {_one_shape(planned, joined, settings) for joined in planned.sources.values()}
    if len(shapes) != 1:
        raise ModelFileError(f"the experts have different shapes: {sorted(shapes)}", where=planned.name)
    (shape,) = shapes
    if planned.steps and planned.steps[-1] in PACKED:
        kind = BY_NAME[PACKED[planned.steps[-1]]]
        shape = (*shape[:-1], shape[-1] // kind.bytes * kind.block)
    return shape if None in planned.sources else (len(planned.sources), *shape)


def _one_shape(planned: Planned, joined: Sequence[Source], settings: Mapping[str, object]) -> tuple[int, ...]:
    """The steps, run on arrays that have a shape and next to no memory."""
    empty = [np.broadcast_to(np.uint8(0), one.shape) for one in joined]
    return run_steps(planned.steps, empty if len(empty) > 1 else empty[0], settings, planned.name).shape


def choose_type(planned: Planned, shape: tuple[int, ...], wanted: str) -> str:
    """The type of a tensor where matrices are to have the type `wanted`."""
    if planned.steps and planned.steps[-1] in PACKED:
        return PACKED[planned.steps[-1]]
    is_vector = len([n for n in shape if n != 1]) <= 1 or not planned.name.endswith(".weight")
    if is_vector or planned.name.endswith(FULL_PRECISION):
        return "F32"
    return "F16" if shape[-1] % BY_NAME[wanted].block else wanted


def written(planned: Planned, shape: tuple[int, ...], kind: str, settings: Mapping[str, object]) -> Written:
    """The tensor with its data: expert by expert, and some rows at a time."""

    def data(add: Add, encode: Encode) -> Callable[[], Data]:
        def blocks(rows: NDArray[Any]) -> NDArray[Any]:
            return rows if kind in PACKED.values() else encode(FORMATS[kind], rows)

        return lambda: _bytes(planned, kind, settings, add, blocks)

    return Written(planned.name, kind, shape, data)


def _bytes(
    planned: Planned,
    kind: str,
    settings: Mapping[str, object],
    add: Add,
    blocks: Callable[[NDArray[Any]], NDArray[Any]],
) -> Iterator[NDArray[Any]]:
    for number in sorted(planned.sources, key=lambda one: one or 0):
        for values in _values(planned, planned.sources[number], kind, settings):
            piece = blocks(values)
            add(piece.nbytes)
            yield piece


def _values(
    planned: Planned, joined: Sequence[Source], kind: str, settings: Mapping[str, object]
) -> Iterator[NDArray[Any]]:
    if not planned.steps and len(joined) == 1:
        yield from joined[0].pieces()
        return
    read = [one.stored() if kind in PACKED.values() else one.values() for one in joined]
    whole = run_steps(planned.steps, read if len(read) > 1 else read[0], settings, planned.name)
    del read
    flat = whole.reshape(-1, whole.shape[-1]) if whole.ndim else whole.reshape(1, 1)
    step = max(1, PIECE // flat.shape[-1])
    for at in range(0, len(flat), step):
        yield np.ascontiguousarray(flat[at : at + step])
