"""Top-n-sigma: tokens whose logits are not too many standard deviations below the largest."""

import numpy as np

from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.stage import Stage
from llamachat.engine.sampling.vocabulary import Vocabulary


class TopNSigma(Stage):
    """Keeps logits >= largest - n * sigma of the logits that are possible. Source: Tang et al. 2024 (2411.07641)."""

    keeps_best = True

    def __init__(self, n: float) -> None:
        self._n = n

    @classmethod
    def of(cls, options: SamplingOptions, vocabulary: Vocabulary) -> "TopNSigma | None":
        """The sampler, or None where it is off."""
        return cls(options.top_nsigma) if options.top_nsigma > 0 else None

    def apply(self, candidates: Candidates) -> None:
        """Narrow to the logits near the largest."""
        possible = candidates.logits[candidates.logits > -np.inf]
        sigma = float(possible.std(dtype=np.float64))
        near = candidates.logits >= np.float32(candidates.largest - self._n * sigma)
        candidates.keep(near, best_first=candidates.best_first)
