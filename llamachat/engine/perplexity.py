"""How well a model predicts a text: the mean negative log-probability of its tokens; e to its power is the perplexity.

A text that fits the context is scored as a whole: every token but the first, after all tokens before it. A longer one
is scored in windows of the context's size that begin `stride` tokens apart: each token is scored once, after at least
n_ctx - stride tokens of history (the first window's tokens after what there is). A window begins with the text's first
token if that is the model's begin token, because such a model has never seen a text without it.
Source: Jelinek et al. 1977, "Perplexity, a measure of the difficulty of speech recognition tasks".
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.sampling.candidates import check_scores
from llamachat.errors import UsageError

PIECE = 64
"""Tokens whose logits are held at once: 64 rows of a vocabulary of 262,144 are 64 MB."""


class ScoringContext(Protocol):
    """What scoring needs of a context."""

    @property
    def n_ctx(self) -> int:
        """How many tokens it can hold."""
        ...

    def eval(self, tokens: Sequence[int], logits: Literal["all"]) -> NDArray[np.float32]:
        """Append tokens; float32 [n_tokens, n_vocab]."""
        ...

    def truncate(self, n_past: int) -> None:
        """Forget everything after the first `n_past` tokens."""
        ...


@dataclass(frozen=True)
class Score:
    """Of n_scored tokens: mean negative log-probability in nats, and its standard error."""

    n_tokens: int
    n_scored: int
    mean_nll: float
    error: float

    @property
    def perplexity(self) -> float:
        """e ** mean_nll; infinite where that overflows."""
        return math.exp(self.mean_nll) if self.mean_nll < 700 else math.inf


def score(
    context: ScoringContext,
    ids: Sequence[int],
    bos: int | None = None,
    stride: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Score:
    """Scores a text's tokens. stride: tokens between the beginnings of windows, 1 to n_ctx - 1, default n_ctx // 2.

    progress(done, total) counts scored tokens. Raises UsageError for fewer than two tokens and a wrong stride,
    ModelFileError where the model's scores are no numbers.
    """
    if len(ids) < 2:
        raise UsageError("the text has fewer than two tokens: nothing in it can be predicted")
    stride = max(1, context.n_ctx // 2) if stride is None else stride
    if not 1 <= stride < context.n_ctx:
        raise UsageError(f"the stride must be from 1 to {context.n_ctx - 1} (less than the context), not {stride}")
    found: list[NDArray[np.float64]] = []
    done = 0
    for window, n_known in _windows(ids, context.n_ctx, stride, bos):
        context.truncate(0)
        for losses in _losses(context, window, n_known):
            found.append(losses)
            done += len(losses)
            if progress is not None:
                progress(done, len(ids) - 1)
    losses = np.concatenate(found)
    error = float(losses.std(ddof=1)) / math.sqrt(len(losses)) if len(losses) > 1 else 0.0
    return Score(len(ids), len(losses), float(losses.mean()), error)


def _windows(ids: Sequence[int], n_ctx: int, stride: int, bos: int | None) -> Iterator[tuple[list[int], int]]:
    """Each window's tokens, and how many at its beginning are not scored in it."""
    start, scored = 0, 1
    while scored < len(ids):
        window = list(ids[start : start + n_ctx])
        yield ([bos, *window[1:]] if bos is not None and ids[0] == bos else window), scored - start
        scored = start + len(window)
        start += stride


def _losses(context: ScoringContext, window: Sequence[int], n_known: int) -> Iterator[NDArray[np.float64]]:
    """The negative log-probabilities of the window's tokens from n_known on, in pieces."""
    for first in range(0, len(window) - 1, PIECE):
        piece = window[first : min(first + PIECE, len(window) - 1)]
        logits = context.eval(piece, "all")
        check_scores(logits, all_finite=True)
        skipped = max(0, n_known - 1 - first)
        if skipped < len(piece):
            following = window[first + 1 + skipped : first + 1 + len(piece)]
            yield np.array([_loss(row, token) for row, token in zip(logits[skipped:], following, strict=True)])


def _loss(logits: NDArray[np.float32], token: int) -> float:
    """-ln softmax(logits)[token]. logits: float32 [n_vocab]."""
    shifted = logits.astype(np.float64) - float(logits.max())
    return float(np.log(np.exp(shifted).sum()) - shifted[token])
