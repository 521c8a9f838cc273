"""The last step of the chain: which of the candidates it is."""

from abc import ABC, abstractmethod

import numpy as np

from llamachat.engine.sampling.candidates import Candidates, best
from llamachat.engine.sampling.options import SamplingOptions

MIROSTAT_TOP = 100
"""So many of the likeliest tokens tell Mirostat 1 how steep the distribution is."""


class Chooser(ABC):
    """Draws one of the candidates, with one random number."""

    @abstractmethod
    def choose(self, candidates: Candidates, random: np.random.Generator) -> int:
        """The id of the token."""


class Draw(Chooser):
    """By probability."""

    def choose(self, candidates: Candidates, random: np.random.Generator) -> int:
        """The first token whose cumulative weight exceeds a uniform number."""
        point = random.random()
        if candidates.ids.size == 1:
            return int(candidates.ids[0])
        sums = np.cumsum(candidates.weights())
        position = np.searchsorted(sums, min(point * sums[-1], np.nextafter(sums[-1], 0)), side="right")
        return int(candidates.ids[position])


class Mirostat(Chooser):
    """Keeps the surprise of the chosen tokens near a target, in bits (Basu et al. 2021, arXiv 2007.14966), version 2.

    Tokens more surprising than mu are left out; mu -= rate * (surprise of the chosen token - target).
    """

    def __init__(self, options: SamplingOptions, n_vocab: int) -> None:
        self._target, self._rate, self._n_vocab = options.mirostat_ent, options.mirostat_lr, n_vocab
        self._mu = 2 * self._target

    def choose(self, candidates: Candidates, random: np.random.Generator) -> int:
        """Draws among the tokens that are not too surprising, and learns from the draw."""
        candidates.keep(best(candidates.logits, self._count(candidates)), best_first=True)
        weights = candidates.weights()
        token = Draw().choose(candidates, random)
        share = weights[candidates.ids == token][0] / weights.sum()
        self._mu -= self._rate * (-float(np.log2(share)) - self._target)
        return token

    def _count(self, candidates: Candidates) -> int:
        """How many of the likeliest are left to draw from."""
        weights = candidates.weights()
        admitted = np.count_nonzero(weights >= weights.sum() * 2.0 ** -min(self._mu, 1000.0))
        return max(1, int(admitted))


class Mirostat1(Mirostat):
    """Version 1: k = ((e * 2^mu) / (1 - n_vocab^-e))^(1/s), e = s - 1, with Zipf's exponent s of the likeliest tokens.

    s = sum t b / sum t^2, t = ln((i+2) / (i+1)), b = ln(p[i] / p[i+1]).
    """

    def _count(self, candidates: Candidates) -> int:
        """The k of the distribution."""
        n = min(MIROSTAT_TOP, candidates.ids.size)
        logits = np.sort(candidates.logits[best(candidates.logits, n)].astype(np.float64))[::-1]
        logits = logits[logits > -np.inf]
        if logits.size < 2 or candidates.largest == np.inf:
            return 1
        i = np.arange(logits.size - 1)
        t, b = np.log((i + 2) / (i + 1)), -np.diff(logits)
        s = float((t * b).sum() / (t * t).sum())
        excess = s - 1
        if s <= 0 or excess == 0:
            return candidates.ids.size
        with np.errstate(all="ignore"):
            k = float((excess * 2.0 ** min(self._mu, 1000.0) / (1 - float(self._n_vocab) ** -excess)) ** (1 / s))
        return candidates.ids.size if not np.isfinite(k) else max(1, min(candidates.ids.size, int(k)))


def chooser(options: SamplingOptions, n_vocab: int) -> Chooser:
    """Mirostat where the options ask for it, else a plain draw."""
    if options.mirostat == 0 or options.temp == 0:
        return Draw()
    return (Mirostat1 if options.mirostat == 1 else Mirostat)(options, n_vocab)
