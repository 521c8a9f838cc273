"""Routing: the experts that a token chooses, and their shares. A token is routed whole by one thread.

Order of additions: lane l of sixteen adds the powers of experts l, l + 16, ... from left to right, and the lanes are
combined as a tree; sums over chosen experts go from the best to the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Final

from llamachat.engine.backend.cpu.jit.compiler import KernelSpec
from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import F32, I32, I64, Ptr, Var, Vec, lanes
from llamachat.engine.backend.cpu.kernels.functions import exp, sigmoid
from llamachat.engine.backend.cpu.kernels.norm import LANES
from llamachat.engine.graph.experts import MAX_EXPERTS

LOGITS, SOFTMAX, SIGMOID, CHOSEN = range(4)
"""What a score is: the logit itself, its share of all, its sigmoid, its share of the chosen ones."""

LEAST_SUM: Final = 2.0**-14
"""What the sum of shares is at least: the smallest normal half."""

_FLOATS, _INTEGERS = lanes(F32, LANES), lanes(I32, LANES)
_NOTHING = float("-inf")


@dataclass(frozen=True)
class Choose(KernelSpec):
    """The n_used experts with the largest scores, the best first; of equal ones the first.

    logits: float32 rows of `stride` bytes; bias: float32 [n_expert], added to scores, or 0; chosen: an int32 for each
    pair, `row` bytes apart; scoring: LOGITS, SOFTMAX or SIGMOID; groups: of which groups_used are looked at. Whatever
    the logits are, what is written are numbers of experts.
    """

    arguments: ClassVar = (
        *("logits", "bias", "chosen", "count", "n_expert", "n_used", "stride", "row", "scoring"),
        *("groups", "groups_used"),
    )
    reads: ClassVar = ("logits",)
    writes: ClassVar = ("chosen",)
    split: ClassVar = Shares()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Token by token."""
        keys = k.memory(_FLOATS, MAX_EXPERTS // LANES)
        groups, allowed = (k.memory(_FLOATS, MAX_EXPERTS // LANES) for _ in range(2))
        first, last = self.split.share(k)
        with k.loop(first, last) as token:
            self._score(k, isa, k.pointer("logits")[token * k.args.stride], keys)
            with k.when(k.args.groups > 1):
                self._keep_groups(k, keys, groups, allowed)
            with k.loop(0, k.args.n_used) as use:
                best = _best(k, keys, k.args.n_expert)
                k.pointer("chosen")[(token * k.args.n_used + use) * k.args.row].store(best.cut(I32), 4)
                keys[best * 4].store(k.constant(F32, _NOTHING), 4)

    def _score(self, k: Kernel, isa: Generic, logits: Ptr, keys: Ptr) -> None:
        """Writes the scores, and what never counts behind the last one."""
        n = k.args.n_expert
        largest, total = k.var(k.constant(F32, 0.0)), k.var(k.constant(F32, 1.0))
        with k.when(k.args.scoring.equals(SOFTMAX)):
            _softmax(k, isa, logits, n, largest, total)
        with _parts(k, n) as (at, inside):
            x = k.var(logits[at].load(_FLOATS, 4))
            with k.when(k.args.scoring.equals(SOFTMAX)):
                x.set(exp(k, isa, x.get() - largest.get()) / total.get())
            with k.when(k.args.scoring.equals(SIGMOID)):
                x.set(sigmoid(k, isa, x.get()))
            with k.when(k.args.bias > 0):
                x.set(x.get() + k.pointer("bias")[at].load(_FLOATS, 4))
            keys[at].store(inside.select(x.get(), _NOTHING), 4)

    def _keep_groups(self, k: Kernel, keys: Ptr, groups: Ptr, allowed: Ptr) -> None:
        """Leaves only experts of the groups whose two best scores sum to the most."""
        args, nothing = k.args, k.constant(F32, _NOTHING)
        size = args.n_expert // args.groups
        with _parts(k, args.groups) as (at, _):
            groups[at].store(k.constant(_FLOATS, _NOTHING), 4)
            allowed[at].store(k.zeros(_INTEGERS), 4)
        with k.loop(0, args.groups) as group:
            best, second = k.var(nothing), k.var(nothing)
            with k.loop(group * size, (group + 1) * size) as expert:
                score = keys[expert * 4].load(F32, 4)
                second.set(second.get().max(score.min(best.get())))
                best.set(best.get().max(score))
            groups[group * 4].store(best.get() + second.get(), 4)
        with k.loop(0, args.groups_used):
            group = _best(k, groups, args.groups)
            groups[group * 4].store(nothing, 4)
            allowed[group * 4].store(k.constant(I32, 1), 4)
        with k.loop(0, args.n_expert) as expert:
            kept = allowed[expert // size * 4].load(I32, 4)
            with k.when(kept.equals(0)):
                keys[expert * 4].store(nothing, 4)


@dataclass(frozen=True)
class Weigh(KernelSpec):
    """Shares of the chosen experts: see `graph.Routing`.

    logits, chosen, and their strides: as of `Choose`; y: a float32 for each pair, `row` bytes apart;
    scoring: SOFTMAX, SIGMOID or CHOSEN; normalised: 1 or 0; scale: float32.
    """

    arguments: ClassVar = (
        *("logits", "chosen", "y", "count", "n_expert", "n_used", "stride", "row", "scoring"),
        *("normalised", "scale"),
    )
    reals: ClassVar = ("scale",)
    reads: ClassVar = ("logits", "chosen")
    writes: ClassVar = ("y",)
    split: ClassVar = Shares()

    def emit(self, k: Kernel, isa: Generic) -> None:
        """Token by token."""
        first, last = self.split.share(k)
        with k.loop(first, last) as token:
            logits, pair = k.pointer("logits")[token * k.args.stride], token * k.args.n_used
            total = self._shares(k, isa, logits, pair)
            with k.loop(pair, pair + k.args.n_used) as one:
                to = k.pointer("y")[one * k.args.row]
                to.store(to.load(F32, 4) / total * k.real("scale"), 4)

    def _shares(self, k: Kernel, isa: Generic, logits: Ptr, pair: Vec) -> Vec:
        """Writes the shares as they are, and returns what they are divided by."""
        largest, total = k.var(k.constant(F32, 0.0)), k.var(k.constant(F32, 1.0))
        with k.when(k.args.scoring.equals(SOFTMAX)):
            _softmax(k, isa, logits, k.args.n_expert, largest, total)
        with k.when(k.args.scoring.equals(CHOSEN)):
            self._softmax_of_chosen(k, isa, logits, pair, largest, total)
        whole = k.var(k.constant(F32, 0.0))
        with k.loop(pair, pair + k.args.n_used) as one:
            x = logits[_expert(k, one) * 4].load(F32, 4)
            share = k.var(x)
            with k.when(k.args.scoring.equals(SIGMOID)):
                share.set(sigmoid(k, isa, x))
            with k.when(k.args.scoring.equals(SIGMOID).equals(0)):
                share.set(exp(k, isa, x - largest.get()) / total.get())
            k.pointer("y")[one * k.args.row].store(share.get(), 4)
            whole.set(whole.get() + share.get())
        clamped = whole.get().max(LEAST_SUM)
        return k.args.normalised.equals(1).select(clamped, 1.0)

    def _softmax_of_chosen(self, k: Kernel, isa: Generic, logits: Ptr, pair: Vec, largest: Var, total: Var) -> None:
        """The largest logit of the chosen ones, which is the first, and the sum of the powers above it."""
        largest.set(logits[_expert(k, pair) * 4].load(F32, 4))
        total.set(k.constant(F32, 0.0))
        with k.loop(pair, pair + k.args.n_used) as one:
            x = logits[_expert(k, one) * 4].load(F32, 4)
            total.set(total.get() + exp(k, isa, x - largest.get()))


def _expert(k: Kernel, pair: Vec) -> Vec:
    return k.pointer("chosen")[pair * k.args.row].load(I32, 4).signed(I64)


@contextmanager
def _parts(k: Kernel, n: Vec) -> Iterator[tuple[Vec, Vec]]:
    """A loop over sixteen neighbours at a time: where they begin, in bytes, and which lanes are below n."""
    with k.loop(0, n, LANES) as first:
        yield first * 4, k.ramp(LANES) + first.cut(I32) < n.cut(I32)


def _softmax(k: Kernel, isa: Generic, logits: Ptr, n: Vec, largest: Var, total: Var) -> None:
    """The largest of n logits and the sum of the powers above it."""
    top = k.var(k.constant(_FLOATS, _NOTHING))
    with _parts(k, n) as (at, inside):
        top.set(top.get().max(inside.select(logits[at].load(_FLOATS, 4), _NOTHING)))
    largest.set(top.get().reduce(lambda a, b: a.max(b)))
    sums = k.var(k.zeros(_FLOATS))
    with _parts(k, n) as (at, inside):
        power = exp(k, isa, logits[at].load(_FLOATS, 4) - largest.get())
        sums.set(sums.get() + inside.select(power, 0.0))
    total.set(sums.get().reduce(lambda a, b: a + b))


def _best(k: Kernel, keys: Ptr, n: Vec) -> Vec:
    """Where the largest of n keys is, the first one of equal ones; some place below n if none is a number."""
    best, where = k.var(k.constant(_FLOATS, _NOTHING)), k.var(k.ramp(LANES))
    with k.loop(0, n, LANES) as first:
        x = keys[first * 4].load(_FLOATS, 4)
        better = x > best.get()
        best.set(better.select(x, best.get()))
        where.set(better.select(k.ramp(LANES) + first.cut(I32), where.get()))
    value, place = best.get(), where.get()
    while value.count > 1:
        half = value.count // 2
        low, high = range(half), range(half, 2 * half)
        (a, i), (b, j) = ((value.shuffle(order), place.shuffle(order)) for order in (low, high))
        other = (b > a) | (b.equals(a) & (j < i))
        value, place = other.select(b, a), other.select(j, i)
    return place.signed(I64).min(n - 1)
