"""What adapters bring beside a model's weights, as launches read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.kernels.low_rank import down_bytes, padded_rank, up_bytes
from llamachat.engine.backend.cpu.kernels.rows import ROWS, whole_rows
from llamachat.engine.gguf import TensorInfo
from llamachat.engine.graph import Node, Role, Use, uses

BESIDE = (Role.DOWN, Role.UP, Role.BESIDE)
"""Roles of tensors that do not come with the model."""


@dataclass(frozen=True)
class Packed:
    """A tensor in its kernels' layout. n_experts: how many lie one after the other."""

    memory: Buffer
    format: str
    n_experts: int = 1

    @property
    def address(self) -> int:
        """Where it begins."""
        return self.memory.address

    @property
    def expert_bytes(self) -> int:
        """From one expert's part to the next one's."""
        return self.memory.n_bytes // self.n_experts


def pack_beside(nodes: Iterable[Node], tensors: Mapping[str, TensorInfo]) -> dict[str, Packed]:
    """{name: packed} of all uses in these roles; tensors: float32 or float16, in memory."""
    return {use.tensor.name: _packed(use, tensors[use.tensor.name]) for use in uses(nodes, *BESIDE)}


def beside_bytes(nodes: Iterable[Node], tensors: Mapping[str, TensorInfo]) -> int:
    """Memory that they take."""
    return sum(_n_bytes(use, tensors[use.tensor.name].type.bytes) for use in uses(nodes, *BESIDE))


def _n_bytes(use: Use, item: int) -> int:
    shape = use.tensor.shape
    if use.role is Role.DOWN:
        return down_bytes(shape, item)
    return up_bytes(shape, item) if use.role is Role.UP else 4 * whole_rows(shape[0])


def _packed(use: Use, tensor: TensorInfo) -> Packed:
    dtype = np.float16 if tensor.type.name == "F16" else np.float32
    values = tensor.data.view(dtype).reshape(use.tensor.shape)
    memory = Buffer(_n_bytes(use, tensor.type.bytes))
    if use.role is Role.BESIDE:
        memory.view(np.float32, values.shape)[:] = values
        return Packed(memory, "F32")
    *experts, n_rows, n_columns = values.shape
    matrices, n_experts = values.reshape(-1, n_rows, n_columns), prod(experts)
    (_pack_down if use.role is Role.DOWN else _pack_up)(matrices, memory, dtype)
    return Packed(memory, tensor.type.name, n_experts)


def _pack_down(matrices: NDArray[Any], memory: Buffer, dtype: type) -> None:
    """[n_experts, rank, n_in] to [n_experts][n_in][padded rank]."""
    n, rank, n_in = matrices.shape
    memory.view(dtype, (n, n_in, padded_rank(rank)))[:, :, :rank] = matrices.transpose(0, 2, 1)


def _pack_up(matrices: NDArray[Any], memory: Buffer, dtype: type) -> None:
    """[n_experts, n_out, rank] to [n_experts][unit][rank][32]."""
    n, n_out, rank = matrices.shape
    out = memory.view(dtype, (n, -(-n_out // ROWS), rank, ROWS))
    whole = n_out // ROWS
    out[:, :whole] = matrices[:, : whole * ROWS].reshape(n, whole, ROWS, rank).transpose(0, 1, 3, 2)
    if n_out % ROWS:
        out[:, whole, :, : n_out % ROWS] = matrices[:, whole * ROWS :].transpose(0, 2, 1)
