"""The tokens that may come next, and how the largest of many logits are found without sorting them all."""

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.errors import LlamaChatError, ModelFileError

Logits = NDArray[np.float32]
Index = NDArray[np.intp]
Weights = NDArray[np.float64]
Mask = NDArray[np.bool_]

GROUP = 64
"""Logits are first looked at in groups of this many (each group's maximum), where there are enough of them."""
BLOCK = 512
"""This many numbers are summed at once where a running sum is searched."""

STEEPEST = 1e30
"""The largest factor for logits: float32 still holds it, and it makes any difference a certainty."""

NEGLIGIBLE = np.float32(-200)
"""exp of this is 0 in float32."""


LARGEST = float(np.finfo(np.float32).max)
"""The largest float32."""


def check_scores(logits: Logits, all_finite: bool = False) -> None:
    """Raises ModelFileError for scores of a model that are NaN or +inf: whatever follows would be wrong in silence.

    logits: float32 of any shape. all_finite: -inf is refused, too. The largest of numbers among which NaN is, is NaN.
    """
    wrong = not logits.max(initial=-np.inf) < np.inf or (all_finite and not logits.min(initial=0) > -np.inf)
    if wrong:
        raise ModelFileError(
            "the model's scores are not numbers (NaN or infinite): the file is damaged (fetch it again), or its "
            "numbers are too large to compute with"
        )


class Candidates:
    """Token ids and their logits, narrowed by one sampler after the other.

    ids: int [n], logits: float32 [n]; at first the whole vocabulary in order, `logits` being the caller's own array
    where it is usable: `change` copies before it writes. NaN becomes -inf, and +inf the largest float32, beside which
    all others weigh nothing; so samplers meet only numbers and -inf. largest: of the logits; -inf where none is
    possible any more. best_first: sorted by falling logit, ties by rising id. Raises LlamaChatError where the model
    gave none that is possible.
    """

    def __init__(self, ids: Index, logits: Logits) -> None:
        self.ids = ids
        self.logits = logits
        self.best_first = False
        self.largest = float(logits.max(initial=-np.inf))
        self._owned = False
        if not np.isfinite(self.largest):
            self.logits = np.nan_to_num(logits, nan=-np.inf, posinf=LARGEST, neginf=-np.inf)
            self.largest = float(self.logits.max(initial=-np.inf))
        if self.largest == -np.inf:
            raise LlamaChatError(
                "The model gave no usable logit (all are NaN or -inf), so there is no next token; the model file is "
                "damaged or its evaluation went wrong"
            )

    def _set(self, logits: Logits) -> None:
        self.logits, self._owned = logits, True
        self.largest = float(logits.max(initial=-np.inf))

    def keep(self, index: NDArray[np.generic], best_first: bool) -> None:
        """Narrow to `index`: positions, or a mask, bool [n]."""
        if index.dtype == bool:  # as positions it is several times faster
            index = np.flatnonzero(index)
        self.ids = self.ids[index]
        self.best_first = best_first
        self._set(self.logits[index])

    def positions(self, tokens: Index, n_vocab: int) -> tuple[Index, Mask]:
        """Where `tokens` (rising) stand among the candidates, and which of them do: int [found], bool [n_tokens]."""
        if self.ids.size == n_vocab and not self.best_first:
            return tokens, np.ones(tokens.size, dtype=bool)
        order = np.argsort(self.ids)
        place = np.minimum(np.searchsorted(self.ids, tokens, sorter=order), self.ids.size - 1)
        found = self.ids[order[place]] == tokens
        return order[place[found]], found

    def change(self, positions: Index, logits: Logits) -> None:
        """Give the candidates at `positions` new logits; what overflowed upwards becomes the largest float32."""
        changed = self.logits if self._owned else self.logits.copy()
        changed[positions] = np.minimum(logits, LARGEST)
        self.best_first = False
        self._set(changed)

    def scale(self, factor: float) -> None:
        """Multiply every logit's distance from the largest by a positive factor; the largest becomes 0."""
        with np.errstate(over="ignore"):
            scaled = self.logits - np.float32(self.largest)
            scaled *= np.float32(min(factor, STEEPEST))
        self._set(scaled)

    def weights(self) -> Weights:
        """Probabilities up to one common factor: exp(logit - largest), float64 [n]; the largest weight is 1."""
        return weights_of(self.logits, self.largest)

    def entropy(self, weights: Weights, total: float) -> float:
        """Of the candidates with these weights, whose sum is `total`, in nats: ln Z - sum w (l - largest) / Z."""
        distance = self.logits - np.float32(self.largest)
        np.maximum(distance, NEGLIGIBLE, out=distance)
        # Not a dot product: BLAS splits long ones among threads, and the last bit would depend on their number.
        return max(0.0, float(np.log(total)) - float((weights * distance).sum()) / total)


def weights_of(logits: Logits, largest: float) -> Weights:
    """exp(logit - largest), float64 [n]; computed in float32, where it is several times faster."""
    distance = logits - np.float32(largest)
    weights: Weights = np.exp(distance, out=distance).astype(np.float64)
    return weights


def exceeded_at(values: Weights, share: float) -> int:
    """The first position at which the running sum exceeds `share` (below 1) of the whole sum.

    Blocks are summed first; then only one block's own sums are wanted.
    """
    sums = np.cumsum(np.add.reduceat(values, np.arange(0, values.size, BLOCK)))
    block, rest = _exceeding(sums, share * float(sums[-1]))
    first = block * BLOCK
    return first + _exceeding(np.cumsum(values[first : first + BLOCK]), rest)[0]


def _exceeding(sums: Weights, point: float) -> tuple[int, float]:
    """Where rising sums first exceed `point` (never beyond the end, in spite of rounding), and what is left of it."""
    position = int(np.searchsorted(sums, min(point, float(np.nextafter(sums[-1], 0))), side="right"))
    return position, point - float(sums[position - 1]) if position else point


def largest(logits: Logits, k: int) -> Index:
    """Positions [k] of the k largest of logits [n], rising; of equal ones the lowest positions. Linear time, no NaN."""
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
    """Positions [k] of the k largest of logits [n], largest first; ties by rising position. Sorts k values."""
    found = largest(logits, k)
    order: Index = np.argsort(-logits[found], kind="stable")
    return found[order]
