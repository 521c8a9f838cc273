"""The tokens that may come next, and how the largest of many logits are found without sorting them all."""

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.errors import LlamaChatError

Logits = NDArray[np.float32]
Index = NDArray[np.intp]
Weights = NDArray[np.float64]

GROUP = 64
"""Logits are first looked at in groups of this many (each group's maximum), where there are enough of them."""


STEEPEST = 1e30
"""The largest factor for logits: float32 still holds it, and it makes any difference a certainty."""


class Candidates:
    """Token ids and their logits, narrowed by one sampler after the other.

    ids: int [n], logits: float32 [n]; at first the whole vocabulary in order, `logits` being the caller's own array:
    `change` copies before it writes. best_first: sorted by falling logit, ties by rising id.
    """

    def __init__(self, ids: Index, logits: Logits) -> None:
        self.ids = ids
        self.logits = logits
        self.best_first = False
        self.largest = float(logits.max(initial=-np.inf))
        self._owned = False
        if np.isnan(self.largest):
            self._set(np.where(np.isnan(logits), np.float32(-np.inf), logits))
        if self.largest == -np.inf:
            raise LlamaChatError(
                "The model gave no usable logit (all are NaN or -inf), so there is no next token; the model file is "
                "damaged or its evaluation went wrong"
            )

    def _set(self, logits: Logits) -> None:
        self.logits, self._owned = logits, True
        self.largest = float(logits.max())

    def keep(self, index: NDArray[np.generic], best_first: bool) -> None:
        """Narrow to `index` (positions, or a mask), which must leave at least one."""
        self.ids = self.ids[index]
        self.best_first = best_first
        self._set(self.logits[index])

    def positions(self, tokens: Index, n_vocab: int) -> tuple[Index, NDArray[np.bool_]]:
        """Where `tokens` (rising) stand among the candidates, and which of them do: int [found], bool [n_tokens]."""
        if self.ids.size == n_vocab and not self.best_first:
            return tokens, np.ones(tokens.size, dtype=bool)
        order = np.argsort(self.ids)
        place = np.minimum(np.searchsorted(self.ids, tokens, sorter=order), self.ids.size - 1)
        found = self.ids[order[place]] == tokens
        return order[place[found]], found

    def change(self, positions: Index, logits: Logits) -> None:
        """Give the candidates at `positions` new logits."""
        changed = self.logits if self._owned else self.logits.copy()
        changed[positions] = logits
        self.best_first = False
        self._set(changed)

    def scale(self, factor: float) -> None:
        """Multiply every logit's distance from the largest by a positive factor; the largest becomes 0."""
        if self.largest == np.inf:
            return
        with np.errstate(over="ignore"):
            self._set((self.logits - np.float32(self.largest)) * np.float32(min(factor, STEEPEST)))

    def weights(self) -> Weights:
        """Probabilities up to one common factor: exp(logit - largest), float64 [n]; the largest weight is 1."""
        if self.largest == np.inf:
            certain: Weights = (self.logits == np.inf).astype(np.float64)
            return certain
        weights: Weights = np.exp(self.logits - np.float32(self.largest)).astype(np.float64)
        return weights


def largest(logits: Logits, k: int) -> Index:
    """Positions of the k largest logits, rising; of equal ones those at the lowest positions. Linear time, no NaN."""
    found = _contenders(logits, k)
    values = logits[found]
    if found.size <= k:
        return found
    least = np.partition(values, found.size - k)[found.size - k]
    above = values > least
    ties = np.flatnonzero(values == least)[: k - np.count_nonzero(above)]
    above[ties] = True
    chosen: Index = found[above]
    return chosen


def _contenders(logits: Logits, k: int) -> Index:
    """Positions, rising, that include the k largest: the k-th largest of the groups' maxima is exceeded k times."""
    n_groups = logits.size // GROUP
    if k >= n_groups // 2:
        return np.arange(logits.size)
    grouped = n_groups * GROUP
    maxima = logits[:grouped].reshape(GROUP, n_groups).max(axis=0)
    bound = np.partition(maxima, n_groups - k)[n_groups - k]
    return np.flatnonzero(logits >= bound)


def best(logits: Logits, k: int) -> Index:
    """Positions of the k largest logits, largest first; ties by rising position. Sorts k values."""
    found = largest(logits, k)
    order: Index = np.argsort(-logits[found], kind="stable")
    return found[order]
