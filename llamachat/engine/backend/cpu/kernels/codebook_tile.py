"""A block of weights and importances in the thread's own memory, as tiles of eight lanes."""

from __future__ import annotations

from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import F32, I32, Ptr, Vec, lanes
from llamachat.engine.backend.cpu.kernels.codebook_plan import Plan
from llamachat.engine.backend.cpu.kernels.codebook_search import LANES, NUMBERS, REALS, total
from llamachat.engine.quants.levels import Book

LEAST, MOST = 1e-20, 1e37
"""Weights of blocks whose largest is less become 0; what is larger is taken for so much."""

UNIMPORTANT = 1e-7
"""What a weight of no importance counts beside the most important one of its block: it gets a sensible code."""

REGISTER = 4 * LANES


class Tiles:
    """A tile's registers x and w, and what belongs to its lanes: signs, scales, integers.

    The largest x and the largest importance of a block are 1, so that no square is too large or too small; see
    `Plan.favours_large` for what becomes of importances. Where signs are written by themselves x are magnitudes, but
    for those whose sign cannot be written.
    """

    def __init__(self, k: Kernel, plan: Plan) -> None:
        self.k, self.plan = k, plan
        n = plan.tiles * plan.width
        self._x, self._w, self._signs = k.memory(REALS, n), k.memory(REALS, n), k.memory(NUMBERS, plan.tiles)

    def x(self, tile: Vec) -> list[Vec]:
        """Weights."""
        return self._load(self._x, tile)

    def w(self, tile: Vec) -> list[Vec]:
        """Importances."""
        return self._load(self._w, tile)

    def load(self, x: Ptr, importance: Ptr) -> Vec:
        """Normalises a block; returns its largest magnitude."""
        k, plan = self.k, self.plan
        largest, most = k.var(k.zeros(REALS)), k.var(k.zeros(REALS))
        with k.loop(0, plan.tiles) as tile:
            values = [_finite(one) for one in self._registers(x, tile)]
            weights = [_positive(one) for one in self._registers(importance, tile)]
            for one in values:
                largest.set(largest.get().max(magnitude(one)))
            for one in weights:
                most.set(most.get().max(one))
            self._store(self._x, tile, values)
            self._store(self._w, tile, weights)
        found, top = (one.get().reduce(lambda a, b: a.max(b)) for one in (largest, most))
        by_x, by_w = inverse(found), inverse(top, 1 / MOST)
        spread = self._mean_square(by_x) * 2.0 if plan.favours_large else None
        with k.loop(0, plan.tiles) as tile:
            values = [one * by_x for one in self.x(tile)]
            weights = [one * by_w + UNIMPORTANT for one in self.w(tile)]
            if spread is not None:
                weights = [b * k.sqrt(a * a + spread) for a, b in zip(values, weights, strict=True)]
            if isinstance(plan.codes.levels, Book):
                values = self._magnitudes(tile, values, weights, plan.codes.levels.even)
            self._store(self._x, tile, values)
            self._store(self._w, tile, weights)
        return found

    def _mean_square(self, factor: Vec) -> Vec:
        """Of all weights times a factor."""
        squares = self.k.var(self.k.zeros(REALS))
        with self.k.loop(0, self.plan.tiles) as tile:
            values = [one * factor for one in self.x(tile)]
            squares.set(squares.get() + total([one * one for one in values]))
        return squares.get().reduce(lambda a, b: a + b) * (1 / self.plan.fmt.block)

    def sign_byte(self, i: int) -> Vec:
        """Bit j says whether number j of the i-th eight is negative."""
        if self.plan.width == 8:
            return self._signs[4 * i].load(I32, 4)
        return self._signs[8 * i].load(I32, 4) | self._signs[8 * i + 4].load(I32, 4) << 4

    def _magnitudes(self, tile: Vec, x: list[Vec], w: list[Vec], even: bool) -> list[Vec]:
        """Keeps the signs; where the number of those of eight must be even, the least weight gets the other one."""
        minus = [(one < 0.0).unsigned(I32) for one in x]
        bits, found = total([one << j if j else one for j, one in enumerate(minus)]), [magnitude(one) for one in x]
        if even:
            odd = total(minus) & 1
            least, place = _least([a * a * b for a, b in zip(found, w, strict=True)])
            if self.plan.width == 4:
                odd = self._of_two_lanes(odd, least)
            for j, one in enumerate(found):
                is_flipped = (odd > 0) & place.equals(j)
                found[j] = is_flipped.select(0.0 - one, one)
                bits = bits ^ (is_flipped.unsigned(I32) << j)
        self._signs[tile * REGISTER].store(bits)
        return found

    def _of_two_lanes(self, odd: Vec, least: Vec) -> Vec:
        """Whether a lane of four has the least of eight numbers, the number of whose signs is odd."""
        swap = [lane ^ 1 for lane in range(LANES)]
        other, is_first = least.shuffle(swap), self.k.constant(NUMBERS, [1 - lane % 2 for lane in range(LANES)])
        has_least = (least < other).unsigned(I32) | ((least <= other).unsigned(I32) & is_first)
        return (odd ^ odd.shuffle(swap)) & has_least

    def _registers(self, source: Ptr, tile: Vec) -> list[Vec]:
        """A tile of floats from a row."""
        n = self.plan.width
        at = source[tile * (REGISTER * n)]
        if not self.plan.is_tuple:
            return [at[REGISTER * j].load(REALS, 4) for j in range(n)]
        flat = at.load(lanes(F32, LANES * n), 4)
        return [flat.shuffle([lane * n + j for lane in range(LANES)]) for j in range(n)]

    def _load(self, memory: Ptr, tile: Vec) -> list[Vec]:
        at = memory[tile * (REGISTER * self.plan.width)]
        return [at[REGISTER * j].load(REALS, 4) for j in range(self.plan.width)]

    def _store(self, memory: Ptr, tile: Vec, registers: list[Vec]) -> None:
        at = memory[tile * (REGISTER * self.plan.width)]
        for j, one in enumerate(registers):
            at[REGISTER * j].store(one, 4)


def magnitude(x: Vec) -> Vec:
    """Without its sign."""
    return x.max(0.0 - x)


def ratio(a: Vec, b: Vec) -> Vec:
    """a / b, 0 where b is not positive."""
    is_some = b > 0.0
    return is_some.select(a / is_some.select(b, b.like(1.0)), 0.0)


def inverse(x: Vec, least: float = LEAST) -> Vec:
    """1 / x, 0 where x is 0 or nearly so."""
    is_some = magnitude(x) > least
    return is_some.select(x.like(1.0) / is_some.select(x, x.like(1.0)), 0.0)


def _least(costs: list[Vec]) -> tuple[Vec, Vec]:
    """(the least of registers, the number of the first that has it), lane by lane."""
    least, place = costs[0], costs[0].as_(NUMBERS) & 0
    for j, cost in enumerate(costs[1:], 1):
        lower = cost < least
        least, place = lower.select(cost, least), lower.select(place.like(j), place)
    return least, place


def _finite(x: Vec) -> Vec:
    """NaN becomes 0, infinities very large."""
    return x.equals(x).select(x, 0.0).max(-MOST).min(MOST)


def _positive(x: Vec) -> Vec:
    """What is no importance becomes 0."""
    return (x > 0.0).select(x, 0.0).min(MOST)
