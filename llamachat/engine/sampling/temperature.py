"""Temperature: how much the likelier tokens are preferred."""

import numpy as np

from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.stage import Stage
from llamachat.engine.sampling.vocabulary import Vocabulary


class Temperature(Stage):
    """Divides every logit by the temperature."""

    keeps_best = True

    def __init__(self, temp: float) -> None:
        self._temp = temp

    @classmethod
    def of(cls, options: SamplingOptions, vocabulary: Vocabulary) -> "Stage | None":
        """The sampler; Greedy for temperature 0, None for 1, a dynamic one where there is a range."""
        if options.temp == 0:
            return Greedy()
        if options.dynatemp_range > 0:
            return DynamicTemperature(options.temp, options.dynatemp_range, options.dynatemp_exp)
        return cls(options.temp) if options.temp != 1 else None

    def apply(self, candidates: Candidates) -> None:
        """Scale the logits."""
        candidates.scale(1 / self._temp)


class DynamicTemperature(Stage):
    """A temperature that follows the entropy H of the candidates: low where the model is sure.

    T = low + (high - low) * (H / ln n)^exponent, low = max(0, T0 - range), high = T0 + range. Source: kalomaze 2023, as
    llama.cpp's `llama_sampler_temp_ext`.
    """

    keeps_best = True

    def __init__(self, temp: float, spread: float, exponent: float) -> None:
        self._low, self._high, self._exponent = max(0.0, temp - spread), temp + spread, exponent

    def apply(self, candidates: Candidates) -> None:
        """Scale the logits."""
        if candidates.ids.size < 2:
            return
        weights = candidates.weights()
        share = candidates.entropy(weights, float(weights.sum())) / float(np.log(candidates.ids.size))
        temp = self._low + (self._high - self._low) * share**self._exponent
        candidates.scale(1 / max(temp, np.finfo(np.float32).tiny))


class Greedy(Stage):
    """Keeps the one most likely token; of equal ones that with the lowest id."""

    keeps_best = True

    def apply(self, candidates: Candidates) -> None:
        """Narrow to one."""
        ties = np.flatnonzero(candidates.logits == np.float32(candidates.largest))
        candidates.keep(ties[[np.argmin(candidates.ids[ties])]], best_first=True)
