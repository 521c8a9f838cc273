"""Recurrences whose state has a fixed size. Threads share columns; each takes all rows of the step, in their order.

A sequence's state is float32 [items][n_key][lanes]: of every LANES neighbouring columns one key after the other, the
same for every instruction set. So the columns of a register never meet. A sum over keys is CHAINS chains of
multiply-adds (or two, or one, where that does not divide the number of keys): chain i takes the keys i, i + chains, ...
from the first to the last; then neighbouring chains are added as a tree. One chain would wait for each multiply-add.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.functions import exp, exp2_below, softplus
from llamachat.engine.backend.cpu.kernels.norm import lanes_for

MOST_KEYS: Final = 256
"""Numbers that a column of a selective scan keeps, at most."""
CHAINS: Final = 4
LOG2_E: Final = 1 / math.log(2)


def chains_of(n_key: int) -> int:
    """How many chains a sum over so many keys has."""
    return lanes_for(n_key, CHAINS)


def sum_over_keys(k: Kernel, kind: Any, n_key: Vec, chains: int, add: Callable[[Vec, Vec], Vec]) -> Vec:
    """add(key in bytes, sum so far) over all keys."""
    sums = [k.var(k.zeros(kind)) for _ in range(chains)]
    with k.loop(0, n_key * 4, 4 * chains) as key:
        for i, one in enumerate(sums):
            one.set(add(key + 4 * i, one.get()))
    values = [one.get() for one in sums]
    while len(values) > 1:
        values = [a + b for a, b in zip(values[::2], values[1::2], strict=True)]
    return values[0]


@dataclass(frozen=True)
class Recurrence(KernelSpec):
    """What the kernels share. at: where the state is; items: width / lanes; n_key: numbers that a column keeps.

    chains: of a sum over keys.
    """

    lanes: int
    chains: int
    writes: ClassVar = ("y", "state")
    split: ClassVar = Shares("", ("items",))

    def state(self, k: Kernel, t: Vec, item: Vec) -> Ptr:
        """The state of an item in the sequence of row t."""
        return Ptr(k.row(t).cache)[k.args.at + item * k.args.n_key * (4 * self.lanes)]

    def row(self, k: Kernel, name: str, t: Vec) -> Ptr:
        """Row t of an operand."""
        return k.pointer(name)[t * getattr(k.args, f"{name}_stride")]

    def read(self, k: Kernel, isa: Generic, at: Ptr, decay: Vec, added: tuple[Ptr, Vec], query: tuple[Ptr, Vec]) -> Vec:
        """A key's S = S * decay + key * value, for added = (where the key is, value), in place.

        Returns S * query + total, for query = (where it is, total).
        """
        kept = isa.fma(k, added[0].load(F32, 4).splat(self.lanes), added[1], at.load(added[1].type, 4) * decay)
        at.store(kept, 4)
        return isa.fma(k, query[0].load(F32, 4).splat(self.lanes), kept, query[1])


@dataclass(frozen=True)
class SelectiveScan(Recurrence):
    """S = S * exp(softplus(step) * a) + b * (softplus(step) * x); y = skip * x + S c; a [width, n_key]."""

    arguments: ClassVar = (
        *("x", "step", "b", "c", "a", "skip", "y", "at", "items", "n_key"),
        *("x_stride", "step_stride", "b_stride", "c_stride", "y_stride"),
    )
    reads: ClassVar = ("x", "step", "b", "c")
    broadcast: ClassVar = reads

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Some columns, row by row, key by key."""
        kind, n_bytes = lanes(F32, self.lanes), 4 * self.lanes
        turned = k.memory(F32, MOST_KEYS * self.lanes)
        first, last = self.split.share(k)
        with k.loop(first, last) as item:
            column = item * n_bytes
            self._turn(k, item, turned)
            skip = k.pointer("skip")[column].load(kind, 4)
            with k.loop(0, k.step.n_tokens) as t:
                state, b, c = self.state(k, t, item), self.row(k, "b", t), self.row(k, "c", t)
                x = self.row(k, "x", t)[column].load(kind, 4)
                step = softplus(k, isa, self.row(k, "step", t)[column].load(kind, 4))
                added = step * x

                def add(key: Vec, total: Vec) -> Vec:
                    decay = exp2_below(k, isa, turned[key * self.lanes].load(kind, 4) * step)
                    return self.read(k, isa, state[key * self.lanes], decay, (b[key], added), (c[key], total))

                total = sum_over_keys(k, kind, k.args.n_key, self.chains, add)
                self.row(k, "y", t)[column].store(isa.fma(k, skip, x, total), 4)

    def _turn(self, k: Kernel, item: Vec, turned: Ptr) -> None:
        """a of an item's columns, key by key, for powers of two."""
        row = k.args.n_key * 4
        a = k.pointer("a")[item * self.lanes * row]
        with k.loop(0, row, 4) as key:
            for lane in range(self.lanes):
                turned[key * self.lanes + 4 * lane].store(a[row * lane + key].load(F32, 4) * LOG2_E, 4)


@dataclass(frozen=True)
class HeadScan(Recurrence):
    """S = S * decay + b (step * x)^T; y = skip * x + S^T c.

    per_head: items of a head; per_group: heads of a group; n_head. steps: those of all heads, then their decays.
    """

    arguments: ClassVar = (
        *("x", "steps", "b", "c", "skip", "y", "at", "items", "n_key", "n_head", "per_head", "per_group"),
        *("x_stride", "steps_stride", "b_stride", "c_stride", "y_stride"),
    )
    reads: ClassVar = ("x", "steps", "b", "c")
    broadcast: ClassVar = reads

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Some columns, row by row, key by key."""
        kind, n_bytes = lanes(F32, self.lanes), 4 * self.lanes
        first, last = self.split.share(k)
        with k.loop(first, last) as item:
            column, head = item * n_bytes, item // k.args.per_head
            group = head // k.args.per_group * k.args.n_key * 4
            skip = k.pointer("skip")[head * 4].load(F32, 4).splat(self.lanes)
            with k.loop(0, k.step.n_tokens) as t:
                state, b, c = self.state(k, t, item), self.row(k, "b", t)[group], self.row(k, "c", t)[group]
                x, steps = self.row(k, "x", t)[column].load(kind, 4), self.row(k, "steps", t)[head * 4]
                decay = steps[k.args.n_head * 4].load(F32, 4).splat(self.lanes)
                added = steps.load(F32, 4).splat(self.lanes) * x

                def add(key: Vec, total: Vec) -> Vec:
                    return self.read(k, isa, state[key * self.lanes], decay, (b[key], added), (c[key], total))

                total = sum_over_keys(k, kind, k.args.n_key, self.chains, add)
                self.row(k, "y", t)[column].store(isa.fma(k, skip, x, total), 4)


@dataclass(frozen=True)
class DeltaRule(Recurrence):
    """S = S * decay; S = S + k (beta * (v - S^T k))^T; y = S^T q * scale.

    per_head: items of a head; n_head; head h has the key of head h / shared % n_head_k. steps: see `HeadScan`.
    """

    arguments: ClassVar = (
        *("q", "k", "v", "steps", "beta", "y", "at", "items", "n_key", "n_head", "per_head", "shared", "n_head_k"),
        *("scale", "q_stride", "k_stride", "v_stride", "steps_stride", "beta_stride", "y_stride"),
    )
    reals: ClassVar = ("scale",)
    reads: ClassVar = ("q", "k", "v", "steps", "beta")
    broadcast: ClassVar = reads

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Some columns, row by row, twice key by key."""
        kind, n_bytes, n = lanes(F32, self.lanes), 4 * self.lanes, self.lanes
        first, last = self.split.share(k)
        with k.loop(first, last) as item:
            column, head = item * n_bytes, item // k.args.per_head
            place = head // k.args.shared % k.args.n_head_k * k.args.n_key * 4
            with k.loop(0, k.step.n_tokens) as t:
                state, keys, queries = self.state(k, t, item), self.row(k, "k", t)[place], self.row(k, "q", t)[place]
                decay = self.row(k, "steps", t)[(head + k.args.n_head) * 4].load(F32, 4).splat(n)

                def look(key: Vec, total: Vec) -> Vec:
                    faded = state[key * n].load(kind, 4) * decay
                    return isa.fma(k, keys[key].load(F32, 4).splat(n), faded, total)

                seen = sum_over_keys(k, kind, k.args.n_key, self.chains, look)
                beta = self.row(k, "beta", t)[head * 4].load(F32, 4).splat(n)
                added = (self.row(k, "v", t)[column].load(kind, 4) - seen) * beta

                def add(key: Vec, total: Vec) -> Vec:
                    return self.read(k, isa, state[key * n], decay, (keys[key], added), (queries[key], total))

                total = sum_over_keys(k, kind, k.args.n_key, self.chains, add)
                self.row(k, "y", t)[column].store(total * k.real("scale"), 4)


@dataclass(frozen=True)
class Steps(KernelSpec):
    """y = softplus(x + bias) of n_head values, then exp(that * a) of as many, in each of `count` rows."""

    arguments: ClassVar = ("x", "y", "bias", "a", "n_head", "count", "x_stride", "y_stride")
    reads: ClassVar = ("x",)
    writes: ClassVar = ("y",)
    split: ClassVar = Shares()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Row by row, head by head: few heads, of any number."""
        first, last = self.split.share(k)
        with k.loop(first, last) as row, k.loop(0, k.args.n_head * 4, 4) as head:
            x = k.pointer("x")[row * k.args.x_stride + head].load(F32, 4)
            step = softplus(k, isa, x + k.pointer("bias")[head].load(F32, 4))
            y = k.pointer("y")[row * k.args.y_stride + head]
            y.store(step, 4)
            y[k.args.n_head * 4].store(exp(k, isa, step * k.pointer("a")[head].load(F32, 4)), 4)
