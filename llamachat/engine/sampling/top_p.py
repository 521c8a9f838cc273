"""Top-p (nucleus): the most likely tokens that together reach a probability."""

import numpy as np

from llamachat.engine.sampling.candidates import Candidates, Logits, Mask, Weights, best
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.stage import Stage
from llamachat.engine.sampling.vocabulary import Vocabulary

SORTED_AT_ONCE = 1024
BINS = 2048
FARTHEST = 64.0
"""exp(-64) is nothing beside 1 in float64."""


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


def nucleus(keys: Logits, weights: Weights, need: float) -> Mask:
    """Which are the fewest largest keys whose weights sum to `need` or more (at least one): bool [n].

    Keys go into bins by their distance from the largest; the sums of the bins tell in which one `need` is reached. What
    lies before it stays, and it is searched in the same way, until so few are left that they can be sorted.
    """
    distance = keys.max() - keys
    width = np.float32(min(float(distance.max()), FARTHEST) / BINS)
    if keys.size <= SORTED_AT_ONCE or width == 0:
        return _sorted_nucleus(keys, weights, need)
    np.divide(distance, width, out=distance)
    bins = np.minimum(distance, BINS - 1, out=distance).astype(np.intp)
    sums = np.cumsum(np.bincount(bins, weights, BINS))
    border = min(int(np.searchsorted(sums, need, side="left")), BINS - 1)
    inside = np.flatnonzero(bins == border)
    beyond = border == BINS - 1 and width * BINS >= FARTHEST  # so far away that it has no weight
    search = _sorted_nucleus if beyond else nucleus
    kept: Mask = bins < border
    kept[inside] = search(keys[inside], weights[inside], need - (float(sums[border - 1]) if border else 0.0))
    return kept


def _sorted_nucleus(keys: Logits, weights: Weights, need: float) -> Mask:
    order = best(keys, keys.size)
    kept = np.zeros(keys.size, dtype=bool)
    kept[order[: _reaching(weights[order], need)]] = True
    return kept


def _reaching(weights: Weights, need: float) -> int:
    """How many of the weights, from the first on, it takes to reach `need`; at least one."""
    return min(int(np.searchsorted(np.cumsum(weights), need, side="left")) + 1, weights.size)
