"""Tail-free sampling: cuts where the curve of the sorted probabilities becomes flat. llama.cpp had it until 2024."""

import numpy as np

from llamachat.engine.sampling.candidates import Candidates, Weights, exceeded_at, largest, weights_of
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.stage import Stage
from llamachat.engine.sampling.vocabulary import Vocabulary

FLAT = 1e-6
"""Where the sum of |p''| is at most this, every token has the same share of it."""


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
        # The whole curve is needed, so the numbers are sorted; which tokens they belong to is asked for the cut only.
        falling = candidates.logits if candidates.best_first else np.sort(candidates.logits)[::-1]
        cut = self._cut(weights_of(falling, candidates.largest))
        kept = np.arange(cut) if candidates.best_first else largest(candidates.logits, cut)
        candidates.keep(kept, best_first=candidates.best_first)

    def _cut(self, weights: Weights) -> int:
        """How many of the falling weights stay."""
        curvature = np.diff(weights, 2)
        np.abs(curvature, out=curvature)
        flat = float(curvature.sum()) <= FLAT * float(weights.sum())
        first = max(1, int(self._z * curvature.size) if flat else exceeded_at(curvature, self._z))
        return first if first < curvature.size else weights.size
