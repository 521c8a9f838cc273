"""Temperature: how much the likelier tokens are preferred."""

import numpy as np

from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.stage import Stage


class Temperature(Stage):
    """Divides every logit by the temperature."""

    keeps_best = True

    def __init__(self, temp: float) -> None:
        self._temp = temp

    @classmethod
    def of(cls, options: SamplingOptions, n_vocab: int) -> "Temperature | Greedy | None":
        """The sampler; Greedy for temperature 0, None for 1."""
        if options.temp == 0:
            return Greedy()
        return cls(options.temp) if options.temp != 1 else None

    def apply(self, candidates: Candidates) -> None:
        """Scale the logits."""
        candidates.scale(1 / self._temp)


class Greedy(Stage):
    """Keeps the one most likely token; of equal ones that with the lowest id."""

    keeps_best = True

    def apply(self, candidates: Candidates) -> None:
        """Narrow to one."""
        ties = np.flatnonzero(candidates.logits == np.float32(candidates.largest))
        candidates.keep(ties[[np.argmin(candidates.ids[ties])]], best_first=True)
