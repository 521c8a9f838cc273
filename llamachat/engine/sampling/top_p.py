"""Top-p (nucleus): the most likely tokens that together reach a probability."""

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.sampling.candidates import Candidates, Index, Logits, best, largest
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.stage import Stage
from llamachat.engine.sampling.vocabulary import Vocabulary

SORTED_AT_ONCE = 1024
SHARE = 16


class TopP(Stage):
    """Keeps tokens from the likeliest on until their probabilities sum to p or more; the one that reaches p stays.

    Probabilities are those among the candidates left. Source: Holtzman et al. 2020 (arXiv 1904.09751).
    """

    keeps_best = True

    def __init__(self, p: float) -> None:
        self._p = p

    @classmethod
    def of(cls, options: SamplingOptions, vocabulary: Vocabulary) -> "TopP | None":
        """The sampler, or None where it would keep everything."""
        return cls(options.top_p) if options.top_p < 1 else None

    def apply(self, candidates: Candidates) -> None:
        """Narrow to the nucleus."""
        weights = candidates.weights()
        need = self._p * float(weights.sum())
        if candidates.best_first:
            candidates.keep(np.arange(_reaching(weights, need)), best_first=True)
        else:
            candidates.keep(nucleus(candidates.logits, weights, need), best_first=False)


def nucleus(logits: Logits, weights: NDArray[np.float64], need: float) -> Index:
    """Positions, rising, of the fewest largest logits whose weights sum to `need` or more (at least one).

    Splits off the largest sixteenth again and again, so only a remainder of at most 1024 is ever sorted.
    """
    taken: list[Index] = []
    rest = np.arange(logits.size)
    while rest.size > SORTED_AT_ONCE:
        upper = largest(logits[rest], rest.size // SHARE)
        mass = float(weights[rest[upper]].sum())
        if mass >= need:
            rest = rest[upper]
            continue
        taken.append(rest[upper])
        need -= mass
        rest = np.delete(rest, upper)
    order = rest[best(logits[rest], rest.size)]
    taken.append(order[: _reaching(weights[order], need)])
    return np.sort(np.concatenate(taken))


def _reaching(weights: NDArray[np.float64], need: float) -> int:
    """How many of the weights, from the first on, it takes to reach `need`; at least one."""
    return min(int(np.searchsorted(np.cumsum(weights), need, side="left")) + 1, weights.size)
