"""What sums of products ask of an instruction set; `Generic` and `Avx2` say what each word means."""

from __future__ import annotations

from typing import Protocol

from llamachat.engine.backend.cpu.jit.kernel import Kernel
from llamachat.engine.backend.cpu.jit.values import Vec


class Words(Protocol):
    """Those that every set has."""

    @property
    def rows(self) -> int:
        """32-bit lanes of a register."""

    def dot4(self, k: Kernel, acc: Vec, unsigned: Vec, signed: Vec, bits: int) -> Vec:
        """See `Generic`."""

    def signed_dot4(self, k: Kernel, acc: Vec, a: Vec, b: Vec) -> Vec:
        """See `Generic`."""

    def dot_words(self, k: Kernel, acc: Vec, a: Vec, b: Vec) -> Vec:
        """See `Generic`."""

    def sum_pairs(self, k: Kernel, pairs: Vec, factor: int) -> Vec:
        """See `Generic`."""

    def held(self, k: Kernel, value: Vec) -> Vec:
        """See `Generic`."""

    def fma(self, k: Kernel, a: Vec, b: Vec, c: Vec) -> Vec:
        """See `Generic`."""


class PairWords(Words, Protocol):
    """Those of sets that add pairs of products in 16 bits."""

    def add_pairs(self, k: Kernel, unsigned: Vec, signed: Vec) -> Vec:
        """See `Avx2`."""

    def add_signed_pairs(self, k: Kernel, a: Vec, b: Vec) -> Vec:
        """See `Avx2`."""

    def multiply_pairs(self, k: Kernel, pairs: Vec, factors: Vec) -> Vec:
        """See `Avx2`."""
