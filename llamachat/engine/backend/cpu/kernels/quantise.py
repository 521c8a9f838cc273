"""Weights into blocks of a format, derived from its description: search for scales, rounding of scales, codes.

For every group the best scale (and offset) is found as if it could be any number. Where a group's scales are integers
times a float of the block, that float is set by the largest of them; then, for each group, the neighbouring integers
are tried. The codes are those nearest for the scales as they are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from llamachat.engine.backend.cpu.jit.isa.generic import Generic
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.split import Shares
from llamachat.engine.backend.cpu.jit.values import Ptr, Vec
from llamachat.engine.backend.cpu.kernels.of_format import FormatKernel
from llamachat.engine.backend.cpu.kernels.scale_search import (
    affine_gain,
    affine_sums,
    best_line,
    best_scale,
    fractions,
    moments,
    scale_sums,
)
from llamachat.engine.backend.cpu.kernels.search import Entries, Levels, Numbers, Rounded, Search
from llamachat.engine.backend.cpu.kernels.small_reals import COARSE, SMALL_REALS
from llamachat.engine.backend.cpu.kernels.written import Written
from llamachat.engine.quants import BLOCK_FORMATS
from llamachat.engine.quants.encoding import codes_of, limits
from llamachat.engine.quants.format import BlockFormat
from llamachat.engine.quants.levels import Even, Listed
from llamachat.engine.quants.loose import loose
from llamachat.engine.quants.trees import Expr, Float, Num, Op

_RUN = 16
"""Codes that are written at once; every group is whole runs."""
_FEW = 4
"""Codes of 2 and 3 bits end below it."""
_LEAST = 1e-5
"""What a weight of zero counts, where the largest counts 1 or more."""
_NO_SEARCH = 64
"""Codes beyond that need none."""


def has_kernel(fmt: BlockFormat) -> bool:
    """Whether codes of a format are an even range or a table."""
    return isinstance(codes_of(fmt).levels, Even | Listed)


@dataclass(frozen=True)
class Quantise(FormatKernel):
    """x: float32, `blocks` blocks one after the other; y: where they go in the format.

    importance: float32 of the columns of a row of `columns` blocks, where `weighted`. units: registers of blocks.
    """

    weighted: bool = False
    arguments: ClassVar = ("x", "importance", "y", "blocks", "columns", "units")
    reads: ClassVar = ("x", "importance")
    writes: ClassVar = ("y",)
    split: ClassVar = Shares("", ("units",))

    def emit(self, k: Kernel, isa: Generic) -> None:
        """As many blocks at once as a register has lanes; the last one is repeated where there are fewer."""
        fmt, s = BLOCK_FORMATS[self.format], Search(k, isa)
        search = _BlockSearch(s, fmt, weighted=self.weighted)
        x, importance, y = (k.pointer(name) for name in ("x", "importance", "y"))
        first, last = self.split.share(k)
        with k.loop(first, last) as unit, k.when(k.not_cancelled()):
            numbers = [(unit * s.n_lanes + lane).min(k.args.blocks - 1) for lane in range(s.n_lanes)]
            s.gather(search.numbers.x, [x[number * (4 * fmt.block)] for number in numbers], fmt.block)
            if search.numbers.counts is not None and self.weighted:
                columns = [importance[number % k.args.columns * (4 * fmt.block)] for number in numbers]
                s.gather(search.numbers.counts, columns, fmt.block)
            search.run([y[number * fmt.layout.itemsize] for number in numbers])


class _BlockSearch:
    """Blocks of all lanes while their codes are searched for."""

    def __init__(self, s: Search, fmt: BlockFormat, *, weighted: bool) -> None:
        self.s, self.fmt, self.parts = s, fmt, fmt.parts
        codes = codes_of(fmt)
        self.levels = _levels(codes.levels)
        self.low, self.high = codes.levels.extremes
        self.written = Written(s, loose(fmt, codes.trees))
        # Without importances, of 2 and 3 bits: large weights count more, as in ggml. Of weights that count alike the
        # squared error is less, but the KL divergence of SmolLM2 as Q2_K was 0.53 and not 0.42 (ggml: 0.43).
        self.by_size = not weighted and fmt.parts.scale is not None and self.high < _FEW
        counts = s.room(fmt.block) if weighted or self.by_size else None
        self.numbers = Numbers(s.room(fmt.block), counts, fmt.block)
        self.groups = fmt.block // fmt.group
        # As searched for; then as written, in the units of normalised weights.
        self.scales = s.room(self.groups)
        self.bases = s.room(self.groups) if fmt.offset is not None else None
        self.power = s.number(1)

    def run(self, to: Sequence[Ptr]) -> None:
        """Searches and writes; to: where the block of each lane goes."""
        s = self.s
        self.power = s.normalise(self.numbers)
        if self.by_size and self.numbers.counts is not None:
            counts = self.numbers.counts
            s.each(self.numbers, lambda i, x, _: s.store(counts, i, s.abs(x) + _LEAST))
        with s.k.loop(0, self.groups) as g:
            numbers = self._group(g)
            scale, base = self._searched(numbers)
            if self.parts.scale is None:
                scale = self._round_scale(numbers, scale, g)
                base = base if base is None else self._rounded(self.parts.dmin, "dmin", base, g)
            s.store(self.scales, g, scale)
            if self.bases is not None and base is not None:
                s.store(self.bases, g, base)
        if self.parts.scale is not None:
            self._round_integers()
        with s.k.loop(0, self.groups) as g:
            self._write_codes(g)
        self.written.finish(to)

    def _group(self, g: Vec) -> Numbers:
        return self.s.part(self.numbers, g, self.fmt.group)

    def _searched(self, numbers: Numbers) -> tuple[Vec, Vec | None]:
        """The best (scale, base) of a group."""
        s, high = self.s, self.high
        if self.bases is not None:
            tries = fractions(high, 24 if high < 8 else 18)
            integers = self.parts.minimum is not None
            return best_line(s, numbers, self.levels, high, tries, below_zero=integers)
        if (high >= _NO_SEARCH and isinstance(self.levels, Rounded)) or self._is_coarse:
            return s.abs(s.largest(numbers)) * (1 / high), None
        uneven = self.low != -high and self.low < 0
        ends, steps = (self.low, high) if uneven else (high,), self.levels.steps
        tries = fractions(steps, 20 if steps < 16 else 12)
        return best_scale(s, numbers, self.levels, ends, tries, signed=self._signed), None

    @property
    def _is_coarse(self) -> bool:
        """Whether scales are so few that those next to the first guess are compared anyway."""
        return isinstance(self.parts.d, Float) and self.parts.d.kind in COARSE

    @property
    def _signed(self) -> bool:
        """Whether a scale may be negative."""
        integers = self.parts.scale
        return limits(integers, self.fmt.layout)[0] < 0 if integers is not None else not isinstance(self.parts.d, Float)

    def _round_scale(self, numbers: Numbers, wanted: Vec, g: Vec) -> Vec:
        """Writes the scale of a group that has no integers; returns what became of it."""
        s, real = self.s, self.parts.d
        if not isinstance(real, Float):
            return self._rounded(real, "d", wanted, g)
        best, step, byte = s.variables(-1e30, 0, 0)
        for code, scale in SMALL_REALS[real.kind](s, wanted, self.power):
            xq, qq = scale_sums(s, numbers, self.levels, s.inverse(scale))
            gain = scale * (xq + xq - scale * qq)
            s.take(gain > best.get(), (best, gain), (step, scale), (byte, code.to_float()))
        self.written.put("d", g, byte.get())
        return step.get()

    def _rounded(self, real: Expr | None, name: str, wanted: Vec, g: Vec | int) -> Vec:
        """Writes a float of a group or a block; returns what became of it, times the constant that belongs to it."""
        constant = 1.0
        if isinstance(real, Op):
            assert isinstance(real.b, int | float)
            constant, real = float(real.b), real.a
        assert isinstance(real, Num), f"{self.fmt.name}: {name} is not written"
        value = wanted * self.power * (1 / constant)
        value = value if self.fmt.layout[real.field].base.itemsize == 4 else self.s.half(value)
        self.written.put(name, g, value)
        return value * constant / self.power

    def _round_integers(self) -> None:
        """Floats of the block, then the best integers of each group."""
        s, parts = self.s, self.parts
        assert parts.scale is not None
        low, high = limits(parts.scale, self.fmt.layout)
        groups = Numbers(self.scales, None, self.groups)
        d = self._rounded(parts.d, "d", s.largest(groups) * (1 / (low if low < 0 else high)), 0)
        dmin = None
        if self.bases is not None:
            assert parts.minimum is not None
            least = s.largest(Numbers(self.bases, None, self.groups))
            dmin = self._rounded(parts.dmin, "dmin", least * (1 / limits(parts.minimum, self.fmt.layout)[1]), 0)
        with s.k.loop(0, self.groups) as g:
            numbers, first = self._group(g), _integer(s.load(self.scales, g) * s.inverse(d), low, high)
            if dmin is None:
                self._best_integer(numbers, g, d, first)
            else:
                self._best_integers(numbers, g, (d, dmin), first)

    def _best_integer(self, numbers: Numbers, g: Vec, d: Vec, first: Vec) -> None:
        """Of a group's scale, the integer or its neighbours."""
        s = self.s
        assert self.parts.scale is not None
        low, high = limits(self.parts.scale, self.fmt.layout)
        best, number = s.variables(-1e30, 0)
        with s.candidates((0, -1, 1)) as change:
            integer = (first + change).max(float(low)).min(float(high))
            step = d * integer
            xq, qq = scale_sums(s, numbers, self.levels, s.inverse(step))
            gain = step * (xq + xq - step * qq)
            s.take(gain > best.get(), (best, gain), (number, integer))
        self.written.put("scale", g, number.get())
        s.store(self.scales, g, number.get() * d)

    def _best_integers(self, numbers: Numbers, g: Vec, reals: tuple[Vec, Vec], first: Vec) -> None:
        """Of a group's scale, the integer or its neighbours; for each the best of its minimum."""
        s, (d, dmin) = self.s, reals
        assert self.bases is not None
        assert self.parts.scale is not None
        assert self.parts.minimum is not None
        (low, high), (least, most) = (
            limits(self.parts.scale, self.fmt.layout),
            limits(self.parts.minimum, self.fmt.layout),
        )
        inverse = s.inverse(dmin)
        start = _integer(s.load(self.bases, g) * inverse, least, most)
        count, total = moments(s, numbers)
        best, scale, minimum = s.variables(-1e30, 0, 0)
        with s.candidates((0, -1, 1)) as change:
            integer = (first + change).max(float(low)).min(float(high))
            step = d * integer
            found = affine_sums(s, numbers, self.levels, s.inverse(step), dmin * start)
            wanted = s.quotient(total - step * found.q, count)
            base = _integer(wanted * inverse, least, most)
            gain = affine_gain(found, count, total, step, dmin * base)
            s.take(gain > best.get(), (best, gain), (scale, integer), (minimum, base))
        self.written.put("scale", g, scale.get())
        self.written.put("minimum", g, minimum.get())
        s.store(self.scales, g, scale.get() * d)
        s.store(self.bases, g, minimum.get() * dmin)

    def _write_codes(self, g: Vec) -> None:
        """The codes of a group, and sums of them where a format has some."""
        s, numbers = self.s, self._group(g)
        step = s.load(self.scales, g)
        inverse = s.inverse(step)
        shift = s.number(0) if self.bases is None else s.number(0) - s.load(self.bases, g) * inverse
        total = s.k.var(s.number(0))
        with s.k.loop(0, self.fmt.group, _RUN) as first:
            codes = []
            for i in range(_RUN):
                x = s.load(numbers.x, first + i)
                t = x * inverse if self.bases is None else s.isa.fma(s.k, x, inverse, shift)
                codes.append(self.levels.code(t))
            at = g * self.fmt.group + first
            self.written.put_codes("q", at, codes)
            if self.written.has("sums") or self.written.has("s"):
                sum_of = sum(codes[1:], codes[0]).to_float()
                total.set(total.get() + sum_of)
                if self.written.has("sums"):
                    self.written.put("sums", at // _RUN, sum_of)
        if self.written.has("s"):
            self.written.put("s", 0, total.get() * step * self.power)


def _integer(x: Vec, low: int, high: int) -> Vec:
    """The nearest integer in a range, as float32."""
    return Rounded(low, high).value(x)


def _levels(levels: object) -> Levels:
    if isinstance(levels, Listed):
        return Entries.of(levels.table)
    assert isinstance(levels, Even)
    return Rounded(levels.low, levels.high)
