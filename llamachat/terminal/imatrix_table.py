"""What importance matrices say of a model, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from llamachat.terminal.table import Column, print_table, print_text

if TYPE_CHECKING:
    from llamachat.prepare.imatrix_statistics import Statistics

_TITLES = ("columns", "sum", "mean", "deviation", "smallest", "largest", "active", "entropy", "evenness", "cosine")


def print_statistics(tensors: Sequence[Statistics], layers: Sequence[Statistics]) -> None:
    """A table of tensors and one of layers, on standard output."""
    print_text("mean squares of the inputs of each tensor; cosine: with the same tensor of the layer before")
    print_table(
        [Column("tensor"), Column("layer", right=True), *(Column(title, right=True) for title in _TITLES)],
        [(one.tensor, str(one.layer) if one.layer >= 0 else "-", *_cells(one)) for one in tensors],
    )
    if layers:
        print_text("")
        print_table(
            [Column("layer", right=True), *(Column(title, right=True) for title in _TITLES)],
            [(str(one.layer), *_cells(one)) for one in layers],
        )


def _cells(one: Statistics) -> tuple[str, ...]:
    numbers = (one.total, one.mean, one.deviation, one.smallest, one.largest)
    return (
        str(one.n_columns),
        *(f"{number:.4g}" for number in numbers),
        f"{100 * one.active:.1f} %",
        f"{one.entropy:.2f}",
        f"{one.evenness:.3f}",
        "" if one.cosine is None else f"{one.cosine:.4f}",
    )
