"""How a kernel's work goes to threads: declared once, used by the kernel that is written and by who sets barriers.

Two launches with equal `key`s touch each thread's own part of what they share, so that no barrier is needed between
them. A kernel never divides its work by hand: it asks its split.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import reduce
from math import prod
from operator import mul
from typing import TYPE_CHECKING, Protocol

from llamachat.engine.backend.cpu.jit.kernel import counted

if TYPE_CHECKING:
    from llamachat.engine.backend.cpu.jit.kernel import Kernel
    from llamachat.engine.backend.cpu.jit.values import Vec

Key = tuple[object, ...]

SHARED_BY_NOBODY: Key = ()
"""The key that equals none, not even itself."""


@dataclass(frozen=True)
class Shares:
    """Each thread takes one contiguous share of the items: rows x every argument in `each`, the rows outermost.

    rows: a field of the step ("n_tokens"), "count" for what the argument `count` says, or "" for no rows.
    panel: rows that count as one. per: values that one item covers; the product of `each` is divided by it.
    """

    rows: str = "count"
    each: tuple[str, ...] = ()
    panel: int = 1
    per: int = 1

    def share(self, k: Kernel) -> tuple[Vec, Vec]:
        """[first, last) of this thread's items."""
        factors = [getattr(k.args, name) for name in self.each]
        values = reduce(mul, factors) if factors else k.number(1)
        items = values if self.per == 1 else values // self.per
        return k.share(self._rows(k) * items if self.rows else items)

    def key(self, arguments: Mapping[str, object]) -> Key:
        """What two launches have in common whose threads work on the same parts.

        Without rows these are parts of a row, and only those of one name are equally wide: two heads of 24 numbers are
        as many as the units of 32 that they fill.
        """
        sizes = [value for name in self.each if isinstance(value := arguments[name], int)]
        return (*self._field(arguments), () if self.rows else self.each, self.panel, prod(sizes), self.per)

    def _rows(self, k: Kernel) -> Vec:
        n = k.count() if self.rows == "count" else getattr(k.step, self.rows)
        return n if self.panel == 1 else (n + (self.panel - 1)) // self.panel

    def _field(self, arguments: Mapping[str, object]) -> tuple[str, int]:
        count = arguments["count"] if self.rows == "count" else None
        return counted(count) if isinstance(count, int) else (self.rows, 1)


@dataclass(frozen=True)
class Turns:
    """Items go to threads in turn, because some cost more than others; nobody knows whose an item is."""

    def loop(self, k: Kernel, n_items: Vec, first: Vec | None = None) -> AbstractContextManager[Vec]:
        """Over this thread's items; first: the thread's first item, if not that of its number."""
        return k.loop(k.thread if first is None else first, n_items, k.n_threads)

    def key(self, _arguments: Mapping[str, object]) -> Key:
        """Nothing."""
        return SHARED_BY_NOBODY


class Split(Protocol):
    """What every split answers."""

    def key(self, arguments: Mapping[str, object], /) -> Key:
        """What two launches have in common whose threads work on the same parts."""
