"""Checkpoints whose matrices are 8-bit floats with scales (DeepSeek V3 and others): the scales are multiplied in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.errors import ModelFileError
from llamachat.prepare.convert.config import Config
from llamachat.prepare.convert.source import Source, as_floats

SCALE: Final = "_scale_inv"
UNUSED: Final = (".activation_scale", "_activation_scale", ".input_scale")


def without_packing(config: Config, tensors: Mapping[str, Source]) -> Mapping[str, Source]:
    """The tensors as floats. Raises Unsupported for other ways to quantise than fp8 and MXFP4 (which stays)."""
    packing = config.first(("quantization_config",))
    if packing is None:
        return tensors
    method = packing.get("quant_method") if isinstance(packing, Mapping) else None
    if method == "mxfp4":
        return tensors
    if method != "fp8":
        raise config.refuse(
            "quantization_config", "weights quantised that way cannot be converted; take the original model"
        )
    block = packing.get("weight_block_size") or [0, 0]
    found = {}
    for name, source in tensors.items():
        if name.endswith((SCALE, *UNUSED)):
            continue
        scale = tensors.get(name + SCALE)
        found[name] = source if scale is None else _scaled(source, scale, block)
    return found


def _scaled(source: Source, scale: Source, block: Any) -> Source:
    """The matrix times its scales: one for all, or one for each block of rows and columns."""
    if scale.size != 1 and (len(source.shape) != 2 or len(scale.shape) != 2 or not all(block)):
        raise ModelFileError("the scales do not fit their matrix", where=source.name)
    columns = source.shape[-1]

    def raw(first: int, last: int) -> NDArray[Any]:
        values = as_floats(source.raw(first, last), source.kind)
        factors = scale.values()
        if factors.size == 1:
            alone: NDArray[Any] = values * factors.reshape(())
            return alone
        rows = np.arange(first // columns, -(-last // columns))
        each = factors[rows // block[0]][:, np.arange(columns) // block[1]]
        scaled: NDArray[Any] = values * each.reshape(-1)[first - first // columns * columns :][: last - first]
        return scaled

    return replace(source, kind="F32", raw=raw)
