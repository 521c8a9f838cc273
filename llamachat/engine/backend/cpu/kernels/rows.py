"""Finished rows of a product: stored, then scale, bias and what a mode says. And the sizes that products share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.functions import FUSED

# Rows of a unit, whatever the instruction set: every field of a tile is whole cache lines, and packed weights are the
# same on every machine. A unit is 32 / isa.rows registers: its parts.
ROWS = 32

# How far before its use a tile is asked for when every byte is read once: memory is a quarter faster so, caches little.
AHEAD = 4096


# What is done with a finished row before it is final. `other` is the residual or the gate, laid out like y.
_GATED, _ALONE = ({name: first + i for i, name in enumerate(FUSED)} for first in (3, 3 + len(FUSED)))
MODES = {"": 0, "scaled": 1, "residual": 2, **_GATED, **{f"{name} alone": mode for name, mode in _ALONE.items()}}


def parts_of(isa: Generic) -> int:
    """Registers that a unit of rows takes."""
    return ROWS // isa.rows


def whole_rows(n_rows: int) -> int:
    """Rows of a matrix with those that fill its last unit."""
    return -(-n_rows // ROWS) * ROWS


@dataclass(frozen=True)
class Task:
    """One matrix of a product: its tiles, the address of its bias (0: none), and where its columns are.

    panels: how many it has; panel(i): which of those at `x` is its i-th; row(i): where its i-th column begins in y and
    in `other`, in bytes. Columns beyond the last one go to rows that nobody reads.
    """

    tiles: Ptr
    bias: Vec
    panels: Vec
    panel: Callable[[Vec], Vec]
    row: Callable[[Vec], Vec]
    scale: Vec | None = None
    factor: Vec | None = None


def whole_task(k: Kernel, columns: int) -> Task:
    """The one matrix of a product, with all columns in their order."""
    panels = (k.count() + (columns - 1)) // columns
    scale, factor = k.real("scale"), k.real("factor")
    return Task(
        *(k.pointer("tiles"), k.args.bias, panels, lambda panel: panel, lambda column: column * k.args.stride),
        *(scale, factor),
    )


def finish(k: Kernel, isa: Generic, task: Task, unit: Vec, column: Vec, totals: list[list[Vec]]) -> None:
    """Stores a unit of rows, totals[part][column]; then what `complete` does, in place."""
    at, columns = unit * (4 * ROWS), len(totals[0])
    for c in range(columns):
        to = k.pointer("y")[task.row(column + c) + at]
        for part, row in enumerate(totals):
            to[4 * isa.rows * part].store(row[c], align=4)
    with k.when((task.bias | k.args.mode) > 0):
        complete(k, isa, task, unit, column, columns)


def complete(k: Kernel, isa: Generic, task: Task, unit: Vec, column: Vec, columns: int) -> None:
    """Scale, bias, factor and mode of a unit of rows that is stored, in place."""
    at = unit * (4 * ROWS)
    with k.loop(column, column + columns) as one:
        row = task.row(one)
        with k.loop(at, at + 4 * ROWS, 4 * isa.rows) as part_at:
            _complete(k, isa, task, part_at, row)


def _complete(k: Kernel, isa: Generic, task: Task, at: Vec, row: Vec) -> None:
    """One register: z = (y * scale + bias) * factor; then z, z + residual, activation(gate) * z or activation(z)."""
    kind = lanes(F32, isa.rows)
    y = k.pointer("y")[row + at]
    value = k.var(y.load(kind, 4))
    if task.scale is not None:
        value.set(value.get() * task.scale)
    with k.when(task.bias > 0):
        value.set(value.get() + Ptr(task.bias)[at].load(kind, 4))
    if task.factor is not None:
        value.set(value.get() * task.factor)
    with k.when(k.args.mode.equals(MODES["residual"])):
        value.set(value.get() + k.pointer("other")[row + at].load(kind, 4))
    with k.when(k.args.mode > MODES["residual"]):
        gate, times = k.var(value.get()), k.var(k.constant(kind, 1.0))
        with k.when(k.args.mode < min(_ALONE.values())):
            gate.set(k.pointer("other")[row + at].load(kind, 4))
            times.set(value.get())
        which = (k.args.mode - min(_GATED.values())) % len(FUSED)
        for i, activation in enumerate(FUSED.values()):
            with k.when(which.equals(i)):
                value.set(activation(k, isa, gate.get()) * times.get())
    y.store(value.get(), 4)
