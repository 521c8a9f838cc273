"""A text in windows that do not overlap, as llama.cpp's perplexity and imatrix tools cut it.

Window i has the tokens from i * n_ctx on; its first one is replaced by the begin token where the model expects one.
What is left at the end is not used. Only the second half is scored: tokens n_ctx // 2 to n_ctx - 2 predict the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from llamachat.engine.answering import GenerationOptions
from llamachat.engine.arrays import NDArray
from llamachat.engine.events import EvaluatingContext
from llamachat.engine.perplexity import evaluate
from llamachat.engine.sampling.candidates import check_scores
from llamachat.engine.scheduler import Request
from llamachat.engine.tokenizers import Tokenizer
from llamachat.errors import UsageError

N_CTX = 512
"""Tokens of a window, unless somebody asks for others: results are comparable with those of others then."""

SMALLEST = 4


@dataclass(frozen=True)
class Windows:
    """Windows of n_ctx tokens: int32 [n, n_ctx] as they stand in the text. bos: what begins each; None: nothing."""

    tokens: NDArray[np.int32]
    bos: int | None

    @classmethod
    def of(cls, ids: Sequence[int], tokenizer: Tokenizer, n_ctx: int, most: int = 0) -> Windows:
        """Of a text's tokens; most: how many at most, 0: all.

        Raises UsageError for a text that is shorter than a window, and for a window of fewer than `SMALLEST` tokens.
        """
        if n_ctx < SMALLEST:
            raise UsageError(f"a window of {n_ctx} tokens is too small: {SMALLEST} is the least", settings=("n_ctx",))
        n = len(ids) // n_ctx
        if not n:
            said = (
                f"the text has {len(ids)} tokens, fewer than a window of {n_ctx}: give a longer one or smaller windows"
            )
            raise UsageError(said, settings=("n_ctx",))
        n = min(n, most) if most > 0 else n
        return cls(np.array(ids[: n * n_ctx], np.int32).reshape(n, n_ctx), begin_token(tokenizer))

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def n_ctx(self) -> int:
        """Tokens of a window."""
        return int(self.tokens.shape[1])

    @property
    def first(self) -> int:
        """The first token of a window whose prediction is scored."""
        return self.n_ctx // 2

    @property
    def n_scored(self) -> int:
        """How many predictions of a window are scored."""
        return self.n_ctx - 1 - self.first

    def read(self, i: int) -> list[int]:
        """Window i as a model reads it."""
        found: list[int] = self.tokens[i].tolist()
        return found if self.bos is None else [self.bos, *found[1:]]

    def following(self, i: int) -> NDArray[np.int32]:
        """The tokens of window i that are predicted: int32 [n_scored]."""
        return self.tokens[i, self.first + 1 :]


def begin_token(tokenizer: Tokenizer) -> int | None:
    """What a text of the model begins with; None where it is nothing."""
    return tokenizer.bos if tokenizer.add_bos else None


Take = Callable[[int, NDArray[np.float32]], None]


@dataclass(frozen=True)
class _Rows:
    """What wants the logits behind a window's tokens from `first` on, as `PromptLogits` of a request."""

    first: int
    taken: Take

    def take(self, position: int, logits: NDArray[np.float32]) -> None:
        check_scores(logits, all_finite=True)
        self.taken(position - self.first, logits)


def read_window(context: EvaluatingContext, window: Sequence[int], first: int, take: Take) -> None:
    """Evaluates all but the last token of a window in an empty context.

    take(i, logits): rows i and following of the scored ones, float32 [n, n_vocab], n at most 64, whose memory is used
    again. Raises ModelFileError for logits that are no numbers, ContextFull, Cancelled.
    """
    context.rewind(0)
    evaluate(context, Request(window[:-1], GenerationOptions(max_tokens=0), prompt_logits=_Rows(first, take)))


def read_logits(context: EvaluatingContext, windows: Windows, i: int) -> NDArray[np.float32]:
    """The logits of the scored rows of window i: float32 [n_scored, n_vocab]. Raises as `read_window`."""
    found: list[NDArray[np.float32]] = []
    read_window(context, windows.read(i), windows.first, lambda at, logits: found.append(logits.copy()))
    return np.concatenate(found)
