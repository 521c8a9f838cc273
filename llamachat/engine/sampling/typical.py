"""Locally typical sampling: tokens whose surprise is near the expected one."""

import numpy as np

from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.stage import Stage
from llamachat.engine.sampling.top_p import nucleus
from llamachat.engine.sampling.vocabulary import Vocabulary


class Typical(Stage):
    """Keeps tokens by rising |-ln p - H|, H the entropy, until their probabilities exceed the limit.

    The one that exceeds it stays. Source: Meister et al. 2022 (arXiv 2202.00666).
    """

    def __init__(self, p: float) -> None:
        self._p = p

    @classmethod
    def of(cls, options: SamplingOptions, vocabulary: Vocabulary) -> "Typical | None":
        """The sampler, or None where it would keep everything."""
        return cls(options.typical) if options.typical < 1 else None

    def apply(self, candidates: Candidates) -> None:
        """Narrow to the typical ones."""
        weights = candidates.weights()
        total = float(weights.sum())
        # -ln p - H = ln Z + largest - l - H
        expected = candidates.largest + np.log(total) - candidates.entropy(weights, total)
        nearness = candidates.logits - np.float32(expected)
        np.negative(np.abs(nearness, out=nearness), out=nearness)
        kept = nucleus(nearness, weights, np.nextafter(self._p * total, np.inf))
        candidates.keep(kept, best_first=candidates.best_first)
