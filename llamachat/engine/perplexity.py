"""How well a model predicts a text: the mean negative log-probability of its tokens; e to its power is the perplexity.

A text that fits the context is scored as a whole: every token but the first, after all tokens before it. A longer one
is scored in windows of the context's size that begin `stride` tokens apart: each token is scored once, after at least
n_ctx - stride tokens of history (the first window's tokens after what there is). A window begins with the text's first
token if that is the model's begin token, because such a model has never seen a text without it.
Source: Jelinek et al. 1977, "Perplexity, a measure of the difficulty of speech recognition tasks".

Each window is a request of the scheduler that generates nothing and wants the logits of its prompt's tokens
(`Losses`), so that a text can be scored beside other requests, too.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from llamachat.engine.answering import GenerationOptions
from llamachat.engine.arrays import NDArray
from llamachat.engine.events import EvaluatingContext, Failed, Stop
from llamachat.engine.pool import OneContext
from llamachat.engine.sampling.candidates import check_scores
from llamachat.engine.scheduler import Request, Scheduler
from llamachat.errors import Cancelled, UsageError


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


@dataclass
class Losses:
    """The negative log-probabilities of the tokens of `window` from n_known on, as `PromptLogits` of a request.

    found: float64, in nats, one array for each piece. scored: called with the number of tokens in each.
    """

    window: Sequence[int]
    n_known: int
    scored: Callable[[int], None] = lambda n: None
    found: list[NDArray[np.float64]] = field(default_factory=list)

    @property
    def request(self) -> Request:
        """What is to be evaluated: all but the last token, after which nothing is predicted."""
        return Request(self.window[:-1], GenerationOptions(max_tokens=0), prompt_logits=self)

    @property
    def first(self) -> int:
        """The token that predicts the first one that is scored."""
        return self.n_known - 1

    def take(self, position: int, logits: NDArray[np.float32]) -> None:
        """Scores the tokens after those from `position` on: logits [n, n_vocab]. Raises ModelFileError for NaN."""
        check_scores(logits, all_finite=True)
        following = self.window[position + 1 : position + 1 + len(logits)]
        self.found.append(np.array([_loss(row, token) for row, token in zip(logits, following, strict=True)]))
        self.scored(len(logits))


class _NoWords:
    """The vocabulary of a scheduler that generates nothing."""

    n_vocab, eog, add_bos = 0, frozenset[int](), False

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        """Nothing is printed."""
        return b""

    def encode(self, text: str, add_special: bool = True) -> list[int]:
        """Nothing is read."""
        return []


def score(
    context: EvaluatingContext,
    ids: Sequence[int],
    bos: int | None = None,
    stride: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Score:
    """Scores a text's tokens. stride: tokens between the beginnings of windows, 1 to n_ctx - 1, default n_ctx // 2.

    progress(done, total) counts scored tokens. Raises UsageError for fewer than two tokens and a wrong stride,
    ModelFileError where the model's scores are no numbers, Cancelled.
    """
    if len(ids) < 2:
        raise UsageError("the text has fewer than two tokens: nothing in it can be predicted")
    stride = max(1, context.n_ctx // 2) if stride is None else stride
    if not 1 <= stride < context.n_ctx:
        raise UsageError(f"the stride must be from 1 to {context.n_ctx - 1} (less than the context), not {stride}")
    found: list[NDArray[np.float64]] = []
    done = 0

    def scored(n: int) -> None:
        nonlocal done
        done += n
        if progress is not None:
            progress(done, len(ids) - 1)

    for window, n_known in _windows(ids, context.n_ctx, stride, bos):
        context.rewind(0)
        wanted = Losses(window, n_known, scored)
        evaluate(context, wanted.request)
        found += wanted.found
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


def evaluate(context: EvaluatingContext, request: Request) -> None:
    """Evaluates one request, which generates nothing, in an empty context.

    Raises what ends it, Cancelled if somebody stopped it.
    """
    scheduler = Scheduler(OneContext(context, add_bos=False), _NoWords())
    scheduler.add(request)
    try:
        while not scheduler.idle:
            for _, event in scheduler.step():
                if isinstance(event, Failed):
                    raise event.error
                if isinstance(event, Stop) and event.reason == "cancelled":
                    raise Cancelled("the scoring was stopped")
    finally:
        scheduler.close()


def _loss(logits: NDArray[np.float32], token: int) -> float:
    """-ln softmax(logits)[token]. logits: float32 [n_vocab]."""
    shifted = logits.astype(np.float64) - float(logits.max())
    return float(np.log(np.exp(shifted).sum()) - shifted[token])
