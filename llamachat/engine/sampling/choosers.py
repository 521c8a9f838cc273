"""The last step of the chain: which of the candidates it is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from llamachat.engine.sampling.candidates import Candidates, Index, best, exceeded_at, largest
from llamachat.engine.sampling.options import SamplingOptions

MIROSTAT_TOP = 100
"""This many of the likeliest tokens tell Mirostat 1 how steep the distribution is."""
MOST_BITS = 1000.0
"""2 to this is still a float64."""


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
        return int(candidates.ids[exceeded_at(candidates.weights(), point)])


class Mirostat(Chooser):
    """Keeps the surprise of the chosen tokens near a target, in bits (Basu et al. 2021, arXiv 2007.14966), version 2.

    Tokens more surprising than mu are left out; mu -= rate * (surprise of the chosen token - target).
    """

    def __init__(self, options: SamplingOptions, n_vocab: int) -> None:
        self._target, self._rate, self._n_vocab = options.mirostat_ent, options.mirostat_lr, n_vocab
        self._mu = 2 * self._target

    def choose(self, candidates: Candidates, random: np.random.Generator) -> int:
        """Draws among the tokens that are not too surprising, and learns from the draw."""
        candidates.keep(self._admitted(candidates), best_first=candidates.best_first)
        weights = candidates.weights()
        token = Draw().choose(candidates, random)
        share = weights[candidates.ids == token][0] / weights.sum()
        self._mu -= self._rate * (-float(np.log2(share)) - self._target)
        return token

    def _admitted(self, candidates: Candidates) -> Index:
        """Positions of those that are left to draw from, rising; at least one."""
        weights = candidates.weights()
        admitted = np.flatnonzero(weights >= weights.sum() * 2.0 ** -min(self._mu, MOST_BITS))
        return admitted if admitted.size else best(candidates.logits, 1)


class Mirostat1(Mirostat):
    """Version 1: k = ((e * 2^mu) / (1 - n_vocab^-e))^(1/s), e = s - 1, with Zipf's exponent s of the likeliest tokens.

    s = sum t b / sum t^2, t = ln((i+2) / (i+1)), b = ln(p[i] / p[i+1]).
    """

    def _admitted(self, candidates: Candidates) -> Index:
        """The k likeliest."""
        return largest(candidates.logits, self._k(candidates))

    def _k(self, candidates: Candidates) -> int:
        n = min(MIROSTAT_TOP, candidates.ids.size)
        logits = candidates.logits[best(candidates.logits, n)].astype(np.float64)
        logits = logits[logits > -np.inf]
        if logits.size < 2:
            return 1
        i = np.arange(logits.size - 1)
        t, b = np.log((i + 2) / (i + 1)), -np.diff(logits)
        s = float((t * b).sum() / (t * t).sum())
        excess = s - 1
        if s <= 0 or excess == 0:
            return candidates.ids.size
        with np.errstate(all="ignore"):
            room = 1 - np.float64(self._n_vocab) ** -excess
            k = float((excess * 2.0 ** min(self._mu, MOST_BITS) / room) ** (1 / s))
        return candidates.ids.size if not np.isfinite(k) else max(1, min(candidates.ids.size, int(k)))


def chooser(options: SamplingOptions, n_vocab: int) -> Chooser:
    """Mirostat where the options ask for it, else a plain draw."""
    if options.mirostat == 0 or options.temp == 0:
        return Draw()
    return (Mirostat1 if options.mirostat == 1 else Mirostat)(options, n_vocab)
