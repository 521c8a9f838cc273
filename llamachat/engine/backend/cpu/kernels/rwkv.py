"""The recurrences of RWKV 6 and 7. Threads share heads; each takes all rows of the step, in their order.

The state lies as `recurrent.py` says. Sums over a head's columns: lane l adds the columns l, l + lanes, ... from left
to right; the lanes are then combined as a tree.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.functions import exp, sigmoid
from llamachat.engine.backend.cpu.kernels.recurrent import sum_over_keys

MOST_DIMENSIONS: Final = 256
"""Of a head."""


@dataclass(frozen=True)
class HeadMixing(KernelSpec):
    """What both kernels share. at: where the state is; items: heads of n_key columns; lanes divides n_key.

    r, w, k, v, y: rows of `stride` bytes; norm, norm_bias: addresses or 0. chains: of a sum over keys.
    """

    lanes: int
    chains: int
    split: ClassVar = Shares("", ("items",))
    writes: ClassVar = ("y", "state")

    def state(self, k: Kernel, t: Vec, head: Vec) -> Ptr:
        """The state of a head in the sequence of row t."""
        return Ptr(k.row(t).cache)[k.args.at + head * k.args.n_key * k.args.n_key * 4]

    def each(self, k: Kernel, do: Callable[[Vec], None]) -> None:
        """do(column) for every register of a head's columns, in bytes."""
        with k.loop(0, k.args.n_key * 4, 4 * self.lanes) as column:
            do(column)

    def sum(self, k: Kernel, term: Callable[[Vec, Vec], Vec]) -> Vec:
        """All lanes of term(column, sum so far), which adds something to it."""
        total = k.var(k.zeros(lanes(F32, self.lanes)))
        self.each(k, lambda column: total.set(term(column, total.get())))
        return total.get().reduce(lambda a, b: a + b)

    def normed(self, k: Kernel, isa: Generic, y: Ptr, head: Vec) -> None:
        """A layer norm of a head's columns, in place, if there is one."""
        kind, at = lanes(F32, self.lanes), head * k.args.n_key * 4
        size = k.args.n_key.to_float()
        with k.when(k.args.norm > 0):
            mean = (self.sum(k, lambda column, total: total + y[column].load(kind, 4)) / size).splat(self.lanes)

            def squared(column: Vec, total: Vec) -> Vec:
                value = y[column].load(kind, 4) - mean
                return isa.fma(k, value, value, total)

            deviation = k.sqrt(self.sum(k, squared) / size + k.real("eps"))
            scale = (deviation.like(1.0) / deviation).splat(self.lanes)

            def store(column: Vec) -> None:
                weight, bias = (k.pointer(name)[at + column].load(kind, 4) for name in ("norm", "norm_bias"))
                y[column].store((y[column].load(kind, 4) - mean) * scale * weight + bias, 4)

            self.each(k, store)


@dataclass(frozen=True)
class Wkv6(HeadMixing):
    """d = exp(-exp(w)); y = (S^T r + (sum of r first k) v) * scale; S = d S + k v^T; then the norm.

    gated: without `first`; y = S^T r * scale of the new S, k is multiplied by 1 - d.
    """

    gated: bool = False
    arguments: ClassVar = (
        *("r", "w", "k", "v", "first", "norm", "norm_bias", "y", "at", "items", "n_key", "stride", "scale", "eps"),
    )
    reals: ClassVar = ("scale", "eps")
    reads: ClassVar = ("r", "w", "k", "v")
    broadcast: ClassVar = reads

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Some heads, row by row."""
        decays, keys = (k.memory(F32, MOST_DIMENSIONS) for _ in range(2))
        kind = lanes(F32, self.lanes)
        first, last = self.split.share(k)
        with k.loop(first, last) as head, k.loop(0, k.step.n_tokens) as t:
            place = t * k.args.stride + head * k.args.n_key * 4
            r, w, own, v, y = (k.pointer(name)[place] for name in ("r", "w", "k", "v", "y"))

            def prepare(column: Vec) -> None:
                decay = exp(k, isa, exp(k, isa, w[column].load(kind, 4)) * -1.0)
                key = own[column].load(kind, 4)
                decays[column].store(decay, 4)
                keys[column].store(key * (decay.like(1.0) - decay) if self.gated else key, 4)

            self.each(k, prepare)
            bonus = None if self.gated else self._bonus(k, isa, r, keys, head).splat(self.lanes)
            state = self.state(k, t, head)
            with k.loop(0, k.args.n_key * 4, 4 * self.lanes) as column:
                value = v[column].load(kind, 4)
                own_state = state[column * k.args.n_key]

                def add(key: Vec, total: Vec) -> Vec:
                    at = own_state[key * self.lanes]
                    query, decay, one = (z[key].load(F32, 4).splat(self.lanes) for z in (r, decays, keys))
                    before = at.load(kind, 4)
                    after = isa.fma(k, one, value, before * decay)
                    at.store(after, 4)
                    return isa.fma(k, query, after if self.gated else before, total)

                total = sum_over_keys(k, kind, k.args.n_key, self.chains, add)
                total = total if bonus is None else isa.fma(k, bonus, value, total)
                y[column].store(total * k.real("scale"), 4)
            self.normed(k, isa, y, head)

    def _bonus(self, k: Kernel, isa: Generic, r: Ptr, keys: Ptr, head: Vec) -> Vec:
        """The sum of r * first * k."""
        kind, first = lanes(F32, self.lanes), k.pointer("first")[head * k.args.n_key * 4]

        def term(column: Vec, total: Vec) -> Vec:
            read = [one[column].load(kind, 4) for one in (r, first, keys)]
            return isa.fma(k, read[0] * read[1], read[2], total)

        return self.sum(k, term)


@dataclass(frozen=True)
class Wkv7(HeadMixing):
    """See `graph.Wkv7`: S = d S - (c u) (S^T c)^T + h v^T; y = S^T r; then the norm, plus (sum of r h bonus) v."""

    arguments: ClassVar = (
        *("r", "w", "k", "v", "rate", "direct", "replace", "bonus", "norm", "norm_bias", "y"),
        *("at", "items", "n_key", "stride", "eps"),
    )
    reals: ClassVar = ("eps",)
    reads: ClassVar = ("r", "w", "k", "v", "rate")
    broadcast: ClassVar = reads

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Some heads, row by row."""
        decays, keys, directions, removed = made = [k.memory(F32, MOST_DIMENSIONS) for _ in range(4)]
        kind, n = lanes(F32, self.lanes), self.lanes
        first, last = self.split.share(k)
        with k.loop(first, last) as head, k.loop(0, k.step.n_tokens) as t:
            place = t * k.args.stride + head * k.args.n_key * 4
            r, v, y = (k.pointer(name)[place] for name in ("r", "v", "y"))
            self._prepare(k, isa, place, head, made)
            state = self.state(k, t, head)
            with k.loop(0, k.args.n_key * 4, 4 * n) as column:
                own, value = state[column * k.args.n_key], v[column].load(kind, 4)

                def look(key: Vec, total: Vec) -> Vec:
                    direction = directions[key].load(F32, 4).splat(n)
                    return isa.fma(k, direction, own[key * n].load(kind, 4), total)

                gone = sum_over_keys(k, kind, k.args.n_key, self.chains, look)

                def add(key: Vec, total: Vec) -> Vec:
                    query, decay, one, less = (z[key].load(F32, 4).splat(n) for z in (r, decays, keys, removed))
                    at = own[key * n]
                    after = isa.fma(k, one, value, isa.fma(k, less, gone, at.load(kind, 4) * decay))
                    at.store(after, 4)
                    return isa.fma(k, query, after, total)

                y[column].store(sum_over_keys(k, kind, k.args.n_key, self.chains, add), 4)
            self.normed(k, isa, y, head)
            bonus = self._sum_of(k, isa, r, keys, k.pointer("bonus")[head * k.args.n_key * 4]).splat(n)
            self.each(k, lambda c: y[c].store(isa.fma(k, bonus, v[c].load(kind, 4), y[c].load(kind, 4)), 4))

    def _prepare(self, k: Kernel, isa: Generic, place: Vec, head: Vec, made: list[Ptr]) -> None:
        """Decays d, keys h, directions c and what is removed along them, -c u."""
        decays, keys, directions, removed = made
        kind, n, own = lanes(F32, self.lanes), self.lanes, head * k.args.n_key * 4
        w, key, rate = (k.pointer(name)[place] for name in ("w", "k", "rate"))
        direct, replace = (k.pointer(name)[own] for name in ("direct", "replace"))

        def square(column: Vec, total: Vec) -> Vec:
            value = key[column].load(kind, 4) * direct[column].load(kind, 4)
            directions[column].store(value, 4)
            return isa.fma(k, value, value, total)

        length = k.sqrt(self.sum(k, square)).max(1e-12)
        scale = (length.like(1.0) / length).splat(n)

        def store(column: Vec) -> None:
            decays[column].store(exp(k, isa, sigmoid(k, isa, w[column].load(kind, 4)) * -math.exp(-0.5)), 4)
            u, direction = sigmoid(k, isa, rate[column].load(kind, 4)), directions[column].load(kind, 4) * scale
            directions[column].store(direction, 4)
            removed[column].store(direction * u * -1.0, 4)
            kept = isa.fma(k, u - 1.0, replace[column].load(kind, 4), u.like(1.0))
            keys[column].store(key[column].load(kind, 4) * kept, 4)

        self.each(k, store)

    def _sum_of(self, k: Kernel, isa: Generic, *values: Ptr) -> Vec:
        """The sum of a product of three."""
        kind = lanes(F32, self.lanes)

        def term(column: Vec, total: Vec) -> Vec:
            a, b, c = (value[column].load(kind, 4) for value in values)
            return isa.fma(k, a * b, c, total)

        return self.sum(k, term)


@dataclass(frozen=True)
class Mix(KernelSpec):
    """y = x + (other - x) * share; x, other, more, y: rows of `stride` bytes, of which `width` values count.

    share: an address of values for all rows, or 0; more: rows that are added to it, or 0; lanes divides the width.
    """

    lanes: int
    arguments: ClassVar = ("x", "other", "more", "share", "y", "count", "width", "stride")
    reads: ClassVar = ("x", "other", "more")
    writes: ClassVar = ("y",)
    split: ClassVar = Shares()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Row by row."""
        kind = lanes(F32, self.lanes)
        first, last = self.split.share(k)
        with k.loop(first, last) as row, k.loop(0, k.args.width * 4, 4 * self.lanes) as column:
            at, share = row * k.args.stride + column, k.var(k.zeros(kind))
            with k.when(k.args.share > 0):
                share.set(k.pointer("share")[column].load(kind, 4))
            with k.when(k.args.more > 0):
                share.set(share.get() + k.pointer("more")[at].load(kind, 4))
            x = k.pointer("x")[at].load(kind, 4)
            k.pointer("y")[at].store(isa.fma(k, k.pointer("other")[at].load(kind, 4) - x, share.get(), x), 4)
