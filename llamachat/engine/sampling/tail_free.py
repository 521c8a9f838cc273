"""Tail-free sampling: cuts where the curve of the sorted probabilities becomes flat. llama.cpp had it until 2024."""

import numpy as np

from llamachat.engine.sampling.candidates import Candidates, best
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.stage import Stage
from llamachat.engine.sampling.vocabulary import Vocabulary


class TailFree(Stage):
    """Keeps the likeliest until the shares of |p''| exceed z. Source: Bricken 2019, as llama.cpp's `sample_tail_free`.

    With sorted p: d1[i] = p[i] - p[i+1], d2[i] = |d1[i] - d1[i+1]|, normalised to sum 1 (uniform where the sum is at
    most 1e-6); at the first i > 0 where the sum of d2[0..i] exceeds z the first i tokens stay.
    """

    keeps_best = True

    def __init__(self, z: float) -> None:
        self._z = z

    @classmethod
    def of(cls, options: SamplingOptions, vocabulary: Vocabulary) -> "TailFree | None":
        """The sampler, or None where it would keep everything."""
        return cls(options.tfs) if options.tfs < 1 else None

    def apply(self, candidates: Candidates) -> None:
        """Narrow to those before the tail."""
        if candidates.ids.size <= 2:
            return
        if not candidates.best_first:
            candidates.keep(best(candidates.logits, candidates.ids.size), best_first=True)
        weights = candidates.weights()
        curvature = np.abs(np.diff(weights / weights.sum(), 2))
        total = float(curvature.sum())
        shares = curvature / total if total > 1e-6 else np.full(curvature.size, 1 / curvature.size)
        beyond = np.flatnonzero(np.cumsum(shares) > self._z)
        cut = next((int(i) for i in beyond[:2] if i >= 1), candidates.ids.size)
        candidates.keep(np.arange(cut), best_first=True)
