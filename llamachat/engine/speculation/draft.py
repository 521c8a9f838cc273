"""A smaller model of the same vocabulary that guesses (Leviathan et al. 2023, arXiv 2211.17192; greedy drafts)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from llamachat.errors import UsageError

if TYPE_CHECKING:
    from llamachat.engine.context import Context
    from llamachat.engine.tokenizers import Tokenizer

MOST_UNLIKE = 128
"""Vocabularies may differ by this many tokens at their ends (padding), as in llama.cpp."""


class DraftModel:
    """Guesses the draft's likeliest tokens, as long as it gives each at least the probability p_min.

    `context` is the draft's own; n_vocab: of the model that is guessed for. least: fewer guesses than these are not
    worth a step.
    """

    def __init__(self, context: Context, n_vocab: int, least: int = 0, p_min: float = 0.0) -> None:
        self._context, self._n_vocab, self._least, self._p_min = context, n_vocab, least, p_min

    def propose(self, tokens: Sequence[int], most: int) -> Sequence[int]:
        """The draft's greedy continuation; nothing after a token that the draft does not have."""
        context = self._context
        room = context.n_ctx - len(tokens)
        known = min(_common(context.tokens, tokens), len(tokens) - 1)
        if room < 1 or max(tokens[known:]) >= context.n_vocab:
            return ()
        known = context.rewind(known)
        logits = context.eval(tokens[known:])
        found: list[int] = []
        while len(found) < min(most, room):
            token = int(logits[: self._n_vocab].argmax())
            if self._p_min > 0 and _share(logits, token) < self._p_min:
                break
            found.append(token)
            if len(found) < min(most, room):
                logits = context.eval([token])
        return found if len(found) >= self._least else ()

    def cancel(self) -> None:
        """Stops the evaluation that runs."""
        self._context.cancel()

    def resume(self) -> None:
        """Takes a `cancel` back that no evaluation has seen."""
        self._context.resume()


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    n = min(len(first), len(second))
    unlike = np.flatnonzero(np.asarray(first[:n]) != np.asarray(second[:n]))
    return int(unlike[0]) if unlike.size else n


def _share(logits: np.ndarray, token: int) -> float:
    """The token's probability."""
    return float(1 / np.exp(logits.astype(np.float64) - float(logits[token])).sum())


def check_vocabularies(target: Tokenizer, draft: Tokenizer) -> None:
    """Raises UsageError unless both have the same tokens, but for a few at the end, and the same special ones."""
    n = min(target.n_vocab, draft.n_vocab)
    if max(target.n_vocab, draft.n_vocab) - n > MOST_UNLIKE:
        raise UsageError(
            f"the draft model has {draft.n_vocab} tokens and the model {target.n_vocab}: a draft must have the same "
            "vocabulary",
            settings=("draft",),
        )
    for what in ("bos", "eos"):
        if getattr(target, what) != getattr(draft, what):
            raise UsageError(f"the draft model has another {what} token than the model", settings=("draft",))
    for token in range(n):
        if target.piece_bytes(token, special=True) != draft.piece_bytes(token, special=True):
            raise UsageError(
                f"token {token} is {draft.piece(token)!r} for the draft model, but {target.piece(token)!r} for the "
                "model: a draft must have the same vocabulary",
                settings=("draft",),
            )
