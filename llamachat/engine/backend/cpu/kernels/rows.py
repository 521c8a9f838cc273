"""Finished rows of a product: stored, then bias and what a mode says. And the sizes that products share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.functions import FUSED, Activation

# Rows of a unit, whatever the instruction set: every field of a tile is whole cache lines, and packed weights are the
# same on every machine. A unit is 32 / isa.rows registers: its parts.
ROWS = 32


# What is done with a finished row before it is final. `other` is the residual or the gate, laid out like y.
MODES = {"": 0, "residual": 1, **{name: 2 + i for i, name in enumerate(FUSED)}}


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


def ask_for(k: Kernel, task: Task, name: str, unit: Vec, column: Vec, columns: int) -> None:
    """Asks for a unit of rows of y or of `other`: the lines are too far apart for processors to foresee."""
    with k.loop(column, column + columns) as one:
        k.prefetch(k.pointer(name)[task.row(one) + unit * (4 * ROWS)], 4 * ROWS)


def complete(k: Kernel, isa: Generic, task: Task, unit: Vec, column: Vec, columns: int) -> None:
    """Bias and mode of a unit of rows that is stored, in place.

    z = (y * scale + bias) * factor where there is a bias, else y; then z, z + residual or activation(gate) * z.
    """
    first, size = unit * (4 * ROWS), 4 * isa.rows

    def each(change: Callable[[Vec, Vec, Vec], Vec]) -> None:
        """Changes all registers of y: y, its place in a row, the row's place -> y."""
        with k.loop(column, column + columns) as one:
            row = task.row(one)
            with k.loop(first, first + 4 * ROWS, size) as at:
                place = k.pointer("y")[row + at]
                place.store(change(place.load(lanes(F32, isa.rows), 4), at, row), 4)

    def with_bias(y: Vec, at: Vec, row: Vec) -> Vec:
        sums = (y if task.scale is None else y * task.scale) + Ptr(task.bias)[at].load(y.type, 4)
        return sums if task.factor is None else sums * task.factor

    def gated(activation: Activation, y: Vec, at: Vec, row: Vec) -> Vec:
        return activation(k, isa, k.pointer("other")[row + at].load(y.type, 4)) * y

    with k.when(task.bias > 0):
        each(with_bias)
    with k.when(k.args.mode.equals(MODES["residual"])):
        each(lambda y, at, row: y + k.pointer("other")[row + at].load(y.type, 4))
    for name, activation in FUSED.items():
        with k.when(k.args.mode.equals(MODES[name])):
            each(partial(gated, activation))
