"""The arithmetic of one group of columns, the same for one column and for many."""

from __future__ import annotations

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, Ptr, Var, Vec


def accumulate(
    k: Kernel, isa: Generic, total: Var, dot: Vec, scale: Vec, offset: Vec | None, x_scale: Ptr, x_sum: Ptr
) -> None:
    """total = fma(float(dot), scale * x_scale, total), then total = fma(offset, x_sum, total)."""
    value = isa.fma(k, dot.to_float(), scale * x_scale.load(F32, 4), total.get())
    if offset is not None:
        value = isa.fma(k, offset, x_sum.load(F32, 4).splat(isa.rows), value)
    total.set(value)
