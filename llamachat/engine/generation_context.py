"""A context as a window on a text that may be longer: what is evaluated, what is dropped to make room, what is guessed.

When it is full, the first `n_keep` tokens stay, half of the others are forgotten, and the rest moves down.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.events import EvaluatingContext, Progress, Timings
from llamachat.engine.speculation.proposer import Speculation
from llamachat.errors import Cancelled, UsageError

Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Guess:
    """A token that was evaluated before it was chosen, and the logits after it."""

    token: int
    logits: Logits


class GenerationContext:
    """Evaluates the tokens of one text in a context.

    n_keep: how many of the first tokens always stay; None, or where the context cannot be shifted: nothing is ever
    dropped. speculation: who guesses tokens. `timings` counts what happens.
    """

    def __init__(
        self,
        context: EvaluatingContext,
        n_keep: int | None,
        timings: Timings,
        speculation: Speculation | None = None,
    ) -> None:
        self._context, self._timings = context, timings
        self._n_keep = n_keep if context.can_shift else None
        self._speculation = speculation
        self._guesses: deque[Guess] = deque()
        self._text: list[int] = []
        self._unread: list[int] = []

    def begin(self, prompt: Sequence[int], progress: Progress | None = None) -> Logits:
        """The logits after the prompt; evaluates only what the context does not hold, and at least the last token."""
        self.start(prompt)
        total = self.n_unread
        while (logits := self.read(total, progress, total)) is None:
            pass
        return logits

    def start(self, prompt: Sequence[int]) -> None:
        """Keeps what the context holds of the prompt and makes room for the rest, which `read` evaluates."""
        context, self._text = self._context, list(prompt)
        context.owner = self
        n_known = self.known(prompt)
        if n_known < len(context.tokens):
            n_known = context.rewind(n_known)
        self._timings.n_prompt, self._timings.n_known = len(prompt), n_known
        while len(context.tokens) + len(prompt) - n_known > context.n_ctx:
            self._drop()
        self._unread = list(prompt[n_known:])

    @property
    def n_unread(self) -> int:
        """Tokens of the prompt that are not yet evaluated."""
        return len(self._unread)

    def read(self, most: int, progress: Progress | None = None, total: int = 0) -> Logits | None:
        """Evaluates at most so many tokens of the prompt, 1 or more; the logits after its last one, else None.

        progress counts to `total`, of all that is read.
        """
        if self._context.needs_checkpoints and self.n_unread > 1:
            most = min(most, self.n_unread - 1)  # so that another answer to the prompt begins before its last token
        some, before = self._unread[:most], total - self.n_unread
        tell = progress
        if progress is not None and len(some) < total:  # a piece of all that is read
            tell = lambda done, _: progress(before + done, total)  # noqa: E731
        logits = self._context.eval(some, progress=tell)
        del self._unread[:most]
        if self.n_unread == 1:
            self._context.checkpoint()
        return None if self._unread else logits

    def take_over(self, prompt: Sequence[int]) -> None:
        """Goes on in a context that holds exactly the prompt."""
        self._text, self._context.owner = list(prompt), self
        self._timings.n_prompt = self._timings.n_known = len(prompt)

    def known(self, prompt: Sequence[int]) -> int:
        """How many tokens of a prompt need not be evaluated: a text that goes on keeps what its context holds.

        Another text takes from it only what is as if evaluated anew.
        """
        held = self._context.tokens
        same = common_prefix(held, prompt)
        return min(same if same == len(held) else min(same, self._context.n_reusable), len(prompt) - 1)

    def fits(self, prompt: Sequence[int]) -> bool:
        """Whether a prompt can be evaluated, with old tokens dropped where that is allowed."""
        if len(prompt) <= self._context.n_ctx:
            return True
        kept = self._n_keep
        return kept is not None and kept + len(prompt) - self.known(prompt) < self._context.n_ctx

    def can_go_on(self) -> bool:
        """Whether another token may be evaluated; drops old ones where that is allowed.

        Raises UsageError where another text has been begun in the context.
        """
        if self._context.owner is not self:
            raise UsageError("another text has been begun in this context: give each its own, model.context()")
        if self._guesses or len(self._context.tokens) < self._context.n_ctx:
            return True
        if self._n_keep is None or not self._droppable():
            return False
        self._drop()
        return True

    def after(self, token: int, n_left: int | None = None) -> Logits:
        """The logits after the next token of the text; n_left: at most so many tokens are wanted after it."""
        self._text.append(token)
        if self._guesses:
            guess = self._guesses.popleft()
            if guess.token == token:
                self._timings.n_accepted += 1
                return guess.logits
            self._forget_guesses(1)
        guesses = self._propose(n_left)
        if not guesses:
            return self._context.eval([token])
        n_past = len(self._context.tokens)
        self._context.checkpoint(passing=True)
        try:
            rows = self._context.eval([token, *guesses], "all")
        except Cancelled:
            self._context.rewind(min(n_past + 1, len(self._context.tokens)))
            raise
        self._timings.n_drafted += len(guesses)
        self._guesses.extend(Guess(one, row) for one, row in zip(guesses, rows[1:], strict=True))
        first: Logits = rows[0]
        return first

    def end(self) -> None:
        """Forgets guesses that nobody asked for: the context holds the text and nothing else."""
        if self._context.owner is self:
            self._forget_guesses(0)
            self._context.owner = None
        self._timings.n_past = len(self._context.tokens)

    def _forget_guesses(self, extra: int) -> None:
        n_wrong = len(self._guesses) + extra
        if n_wrong:
            self._guesses.clear()
            right = self._context.tokens[: len(self._context.tokens) - n_wrong]
            again = right[self._context.rewind(len(right)) :]
            if again:
                self._context.eval(again)

    def _propose(self, n_left: int | None) -> Sequence[int]:
        if self._speculation is None:
            return ()
        room = self._context.n_ahead - 1
        most = min(self._speculation.most, room, room if n_left is None else n_left - 1)
        return self._speculation.proposer.propose(self._text, most) if most > 0 else ()

    def _droppable(self) -> int:
        """How many tokens would be dropped."""
        return (len(self._context.tokens) - min(self._n_keep or 0, len(self._context.tokens))) // 2

    def _drop(self) -> None:
        n, first = self._droppable(), self._n_keep or 0
        if self._context.shift_refusal(first, first + n):  # not here, though elsewhere: it is evaluated again
            left = [*self._context.tokens[:first], *self._context.tokens[first + n :]]
            self._context.eval(left[self._context.rewind(first) :])
        else:
            self._context.remove(first, first + n)
        self._timings.n_forgotten += n


def common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens at their beginning are the same."""
    pairs = zip(first, second, strict=False)
    return next((index for index, (one, other) in enumerate(pairs) if one != other), min(len(first), len(second)))
