"""How far a model's predictions are from those of another one, token by token.

Of a base with probabilities p and a model with q, for the token t that follows in the text:
KL divergence: sum over the vocabulary of p (ln p - ln q), in nats (Kullback and Leibler 1951); delta p: q[t] - p[t];
same top: whether both hold the same token for the likeliest.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.events import EvaluatingContext
from llamachat.errors import UsageError
from llamachat.prepare.report import Report, silent
from llamachat.prepare.windows import Windows, read_logits, read_window

Floats = NDArray[np.float64]

ROWS = 16
"""Rows that are computed at once: of a large vocabulary each takes megabytes."""

_TINY = -16.0
"""Where the field's tool stops counting tokens of a base whose log-probabilities were rounded to 16 bits."""


@dataclass(frozen=True)
class Estimate:
    """A mean and its standard error."""

    mean: float
    error: float

    @classmethod
    def of(cls, values: Floats) -> Estimate:
        """Of values [n]."""
        error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
        return cls(float(values.mean()), error)


@dataclass
class Divergence:
    """What is known of each scored token, in the text's order.

    nll_base, nll: negative log-probabilities of the tokens that follow; kl, delta_p, same_top: see above.
    """

    nll_base: list[Floats] = field(default_factory=list)
    nll: list[Floats] = field(default_factory=list)
    kl: list[Floats] = field(default_factory=list)
    delta_p: list[Floats] = field(default_factory=list)
    same_top: list[NDArray[np.bool_]] = field(default_factory=list)

    def add(self, base: Floats, logits: NDArray[np.float32], following: NDArray[np.int32], rounded: bool) -> None:
        """Rows of both models: ln p [n, n_vocab], logits [n, n_vocab], and the tokens that follow [n].

        rounded: ln p were stored in 16 bits; their tail is left out, as by the field's tool.
        """
        found, rows = log_softmax(logits), np.arange(len(following))
        p = np.exp(base)
        terms = p * (base - found)
        if rounded:
            terms[base <= _TINY] = 0
        self.kl.append(terms.sum(1))
        self.nll_base.append(-base[rows, following])
        self.nll.append(-found[rows, following])
        self.delta_p.append(np.exp(-self.nll[-1]) - p[rows, following])
        self.same_top.append(base.argmax(1) == found.argmax(1))

    @property
    def whole(self) -> Divergences:
        """Everything that was added."""
        nll_base, nll, kl, delta_p = (np.concatenate(one) for one in (self.nll_base, self.nll, self.kl, self.delta_p))
        return Divergences(nll_base, nll, kl, delta_p, np.concatenate(self.same_top))


@dataclass(frozen=True)
class Divergences:
    """`Divergence` of all tokens of a text, each array [n]."""

    nll_base: Floats
    nll: Floats
    kl: Floats
    delta_p: Floats
    same_top: NDArray[np.bool_]

    @property
    def n_scored(self) -> int:
        """How many tokens were scored."""
        return len(self.kl)

    def perplexity(self, nll: Floats) -> Estimate:
        """e to the mean of nll, with its error."""
        one = Estimate.of(nll)
        value = math.exp(one.mean) if one.mean < 700 else math.inf
        return Estimate(value, value * one.error)

    @property
    def log_ratio(self) -> Estimate:
        """ln of the quotient of both perplexities; what both find hard does not count into the error."""
        return Estimate.of(self.nll - self.nll_base)

    @property
    def ratio(self) -> Estimate:
        """The model's perplexity divided by the base's."""
        one = self.log_ratio
        value = math.exp(min(one.mean, 700.0))
        return Estimate(value, value * one.error)

    @property
    def mean_kl(self) -> Estimate:
        """The mean KL divergence."""
        return Estimate.of(self.kl)

    @property
    def agreement(self) -> Estimate:
        """Of how many tokens, 0 to 1, both hold the same one for the likeliest."""
        return Estimate.of(self.same_top.astype(np.float64))

    @property
    def rms_delta_p(self) -> Estimate:
        """Root of the mean square of delta p."""
        one = Estimate.of(self.delta_p**2)
        value = math.sqrt(one.mean)
        return Estimate(value, 0.5 / value * one.error if value else 0.0)

    def percentile(self, values: Floats, share: float) -> float:
        """The value that a share, 0 to 100, of values [n] are not above; between two it is interpolated."""
        return float(np.percentile(values, share))


def log_softmax(logits: NDArray[np.float32]) -> Floats:
    """ln softmax of each row of logits [n, n_vocab], in float64."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(1, keepdims=True))
    return shifted


def compare(
    base: EvaluatingContext, model: EvaluatingContext, windows: Windows, report: Report = silent
) -> Divergences:
    """How far a model is from a base on a text; report counts tokens of both.

    Both have the same vocabulary, and contexts of a window at least. Raises UsageError where their vocabularies differ
    in size, and as `read_window`.
    """
    found = Divergence()
    total = 2 * len(windows) * windows.n_ctx
    for i in range(len(windows)):
        logits = read_logits(base, windows, i)
        report((2 * i + 1) * windows.n_ctx, total, "comparing")
        follow(model, windows, i, _Base(logits), found)
        report((2 * i + 2) * windows.n_ctx, total, "comparing")
    return found.whole


class LogProbabilities(Protocol):
    """ln p of a base for the scored tokens of one window."""

    @property
    def rounded(self) -> bool:
        """Whether they were stored in 16 bits."""
        ...

    @property
    def n_vocab(self) -> int:
        """Tokens of the vocabulary."""
        ...

    def rows(self, first: int, last: int) -> Floats:
        """Those of rows first to last - 1: float64 [n, n_vocab]."""
        ...


class _Base:
    """Those of logits in memory."""

    rounded = False

    def __init__(self, logits: NDArray[np.float32]) -> None:
        self._logits, self.n_vocab = logits, logits.shape[1]

    def rows(self, first: int, last: int) -> Floats:
        return log_softmax(self._logits[first:last])


def follow(model: EvaluatingContext, windows: Windows, i: int, base: LogProbabilities, found: Divergence) -> None:
    """Evaluates window i and adds to `found` how far its predictions are from those of a base. Raises as `compare`."""
    following = windows.following(i)

    def take(at: int, logits: NDArray[np.float32]) -> None:
        if logits.shape[1] != base.n_vocab:
            said = f"the vocabularies differ: {base.n_vocab} tokens in the base, {logits.shape[1]} in the model"
            raise UsageError(said)
        for first in range(0, len(logits), ROWS):
            some = logits[first : first + ROWS]
            start, stop = at + first, at + first + len(some)
            found.add(base.rows(start, stop), some, following[start:stop], base.rounded)

    read_window(model, windows.read(i), windows.first, take)


def check_same_words(first: Sequence[int], second: Sequence[int]) -> None:
    """Raises UsageError where two models read a text as different tokens: then nothing of them can be compared."""
    if list(first) != list(second):
        raise UsageError("the two models read the text as different tokens: they have different vocabularies")
