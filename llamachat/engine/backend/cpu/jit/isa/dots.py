"""Sums of products of byte codes with bytes of x: how codes are written, and the forms in which sums are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llamachat.engine.backend.cpu.jit.isa.words import PairWords, Words
from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import I8, I16, I32, Vec, lanes

MOST_X = 127
"""Bytes of x that are multiplied with a bias or signed codes lie in -MOST_X .. MOST_X."""


@dataclass(frozen=True)
class Codes:
    """What the bytes of weights mean: a weight is code + bias.

    bits: unsigned codes of at most so many bits; signed: two's complement bytes (bits is 8, no bias).
    shift: every code lies so many bits higher in its byte, and the sum is shifted back, exactly; with `bits` counted
    without the shift, bits + shift <= 8. Only as the instruction set's `best_shift` says.
    """

    bits: int
    bias: int = 0
    signed: bool = False
    shift: int = 0

    @property
    def largest(self) -> int:
        """The largest magnitude of a weight."""
        return 128 if self.signed else max(-self.bias, (1 << self.bits) - 1 + self.bias)


def table_codes(entries: Sequence[int]) -> tuple[Codes, list[int]]:
    """Signed entries of a table as unsigned bytes of few bits and a bias, where 7 bits are enough; else as they are."""
    low, high = min(entries), max(entries)
    if high - low < 128:
        return Codes((high - low).bit_length(), low), [entry - low for entry in entries]
    return Codes(8, signed=True), [entry & 255 for entry in entries]


class Dot:
    """The sum of (code + bias) * x in each 32-bit lane, exact: four products with each of `fours` `add`s.

    x_sums: where there is a bias or a sign, an i32 with two i16 halves: the sums of x over columns 0 and 1, and over
    columns 2 and 3, of all fours that are added. Instruction sets that have no use for it do not load it.
    """

    def __init__(
        self, isa: Words, k: Kernel, codes: Codes, fours: int, x_sums: Vec | None, *, begins: bool = True
    ) -> None:
        if codes.bias and x_sums is None:
            raise ValueError(f"a bias of {codes.bias} needs the sums of x")
        self._isa, self._k, self._codes = isa, k, codes
        self._sum = k.zeros(lanes(I32, isa.rows))
        if begins and codes.bias and x_sums is not None:
            self._sum = isa.sum_pairs(k, x_sums, codes.bias << codes.shift)

    def add(self, codes: Vec, x: Vec) -> None:
        """Adds four products in each lane; codes and x: registers of bytes, or of dwords of four."""
        self._sum = self._isa.dot4(self._k, self._sum, codes, x, self._codes.bits + self._codes.shift)

    def hold(self) -> None:
        """What was added is computed here, see `Generic.held`."""
        self._sum = self._isa.held(self._k, self._sum)

    def value(self) -> Vec:
        """The sum: i32 [rows]."""
        return self._sum.shift_signed(self._codes.shift) if self._codes.shift else self._sum

    def scaled(self, scales: Vec) -> Vec:
        """The sum times an integer in each lane, i32 [rows]; scales: what `Generic.scales` returned."""
        return self.value() * scales


class SignedDot(Dot):
    """Signed codes, multiplied by a word of their own."""

    def add(self, codes: Vec, x: Vec) -> None:
        """Adds four products in each lane."""
        self._sum = self._isa.signed_dot4(self._k, self._sum, codes, x)


class FlippedDot(Dot):
    """Signed codes by a product of unsigned ones: code ^ 0x80 is code + 128; the sum begins with -128 * sum of x."""

    def __init__(self, isa: Words, k: Kernel, fours: int, x_sums: Vec | None) -> None:
        super().__init__(isa, k, Codes(8, -128), fours, x_sums)

    def add(self, codes: Vec, x: Vec) -> None:
        """Adds four products in each lane."""
        super().add(codes.as_(lanes(I8, 4 * self._isa.rows)) ^ -128, x)


class WideDot(Dot):
    """Codes of 8 bits where scales are pairs of equal i16."""

    def scaled(self, scales: Vec) -> Vec:
        """The sum times an integer in each lane."""
        return self.value() * (scales << 16).shift_signed(16)


class PairDot(Dot):
    """AVX2 and AVX-512 without byte dot product: sums of two products in 16 bits, widened before they might not fit.

    Additions wrap around, so only the sum in the end must fit 16 bits, with the bias in it. Multiplication by a scale
    widens, too, and takes the place of widening by ones.
    """

    _isa: PairWords

    def __init__(self, isa: PairWords, k: Kernel, codes: Codes, fours: int, x_sums: Vec | None) -> None:
        super().__init__(isa, k, codes, fours, x_sums, begins=False)
        self._words = lanes(I16, 2 * isa.rows)
        self._parts: list[Vec] = []
        self._x_pairs: Vec | None = None
        self._n = 0
        self._most = fours
        unbiased = Codes(codes.bits, signed=codes.signed)
        if codes.bias and x_sums is not None:
            self._x_pairs = x_sums.splat(isa.rows).as_(self._words)
        if not fits_pairs(codes, fours):
            self._most = next(n for n in range(fours, 0, -1) if fits_pairs(unbiased, n))
        elif self._x_pairs is not None:
            self._parts, self._x_pairs = [self._x_pairs * (codes.bias << codes.shift)], None

    def add(self, codes: Vec, x: Vec) -> None:
        """Adds four products in each lane."""
        word = self._isa.add_signed_pairs if self._codes.signed else self._isa.add_pairs
        pairs = word(self._k, codes, x)
        if not self._parts or (self._n and self._n % self._most == 0):
            self._parts.append(pairs)
        else:
            self._parts[-1] = self._parts[-1] + pairs
        self._n += 1

    def hold(self) -> None:
        """What was added is computed here."""
        self._parts[-1] = self._isa.held(self._k, self._parts[-1])

    def value(self) -> Vec:
        """The sum: i32 [rows]."""
        return self._unshifted(self._widened(self._k.constant(self._words, 1)))

    def scaled(self, scales: Vec) -> Vec:
        """The sum times an integer in each lane; scales: pairs of equal i16, see `Avx2.scales`."""
        return self._unshifted(self._widened(scales.as_(self._words)))

    def _unshifted(self, value: Vec) -> Vec:
        return value.shift_signed(self._codes.shift) if self._codes.shift else value

    def _widened(self, factors: Vec) -> Vec:
        terms = [(part, factors) for part in self._parts]
        if self._x_pairs is not None:  # more than one part: the bias, of all of them, apart
            terms.append((self._x_pairs, factors * self._codes.bias))
        wide = [self._isa.multiply_pairs(self._k, *term) for term in terms]
        total = wide[0]
        for one in wide[1:]:
            total = total + one
        return total


def fits_pairs(codes: Codes, fours: int) -> bool:
    """Whether the sum of two products of each of `fours` fits 16 bits, as one sum and each as it is computed."""
    one = 2 * MOST_X * (128 if codes.signed else ((1 << codes.bits) - 1) << codes.shift)
    return one <= 32767 and fours * 2 * MOST_X * (codes.largest << codes.shift) <= 32767
