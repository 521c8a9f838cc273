"""Min-p: tokens that are not too unlikely beside the likeliest."""

import math

import numpy as np

from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.stage import Stage
from llamachat.engine.sampling.vocabulary import Vocabulary


class MinP(Stage):
    """Keeps logits >= largest + ln(p), which is probabilities >= p * the largest. Source: arXiv 2407.01082."""

    keeps_best = True

    def __init__(self, p: float) -> None:
        self._log_p = math.log(p)

    @classmethod
    def of(cls, options: SamplingOptions, vocabulary: Vocabulary) -> "MinP | None":
        """The sampler, or None where it would keep everything."""
        return cls(options.min_p) if options.min_p > 0 else None

    def apply(self, candidates: Candidates) -> None:
        """Narrow to the tokens likely enough."""
        likely = candidates.logits >= np.float32(candidates.largest + self._log_p)
        candidates.keep(likely, best_first=candidates.best_first)
