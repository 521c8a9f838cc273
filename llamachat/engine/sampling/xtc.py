"""XTC, "exclude top choices": sometimes the obvious tokens are left out, so that a text surprises."""

import numpy as np

from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.stage import Stage
from llamachat.engine.sampling.vocabulary import Vocabulary

STREAM = 1
NEVER = 0.5
"""Thresholds above this never leave two tokens to choose between."""


class Xtc(Stage):
    """With a probability, of the tokens at least as likely as the threshold only the least likely stays.

    Draws from a random stream of its own, once a token. Source: p-e-w 2024 (text-generation-webui, pull request 6335).
    """

    def __init__(self, options: SamplingOptions) -> None:
        self._probability, self._threshold = options.xtc_probability, options.xtc_threshold
        self._random = np.random.Generator(np.random.PCG64([options.seed, STREAM]))

    @classmethod
    def of(cls, options: SamplingOptions, vocabulary: Vocabulary) -> "Xtc | None":
        """The sampler, or None where it would never do anything."""
        on = options.xtc_probability > 0 and options.xtc_threshold <= NEVER
        return cls(options) if on else None

    def apply(self, candidates: Candidates) -> None:
        """Leave out the top choices, if the draw says so."""
        if self._random.random() >= self._probability:
            return
        weights = candidates.weights()
        likely = np.flatnonzero((weights >= self._threshold * weights.sum()) & (weights > 0))
        if likely.size < 2:
            return
        least = likely.size - 1 - np.argmin(candidates.logits[likely][::-1])  # of equal ones the last
        staying = np.ones(weights.size, dtype=bool)
        staying[likely] = False
        staying[likely[least]] = True
        candidates.keep(staying, best_first=candidates.best_first)
