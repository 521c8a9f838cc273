"""A context as a window on a text that may be longer: what is evaluated, what is dropped to make room, what is guessed.

When it is full, the first `n_keep` tokens stay, half of the others are forgotten, and the rest moves down.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.events import EvaluatingContext, Progress, Timings
from llamachat.engine.speculation.proposer import Speculation
from llamachat.errors import Cancelled, UsageError

Logits = NDArray[np.float32]
COMPARED = 64
"""Tokens that are compared at once."""
GOING_BACK = (128, 1024)
"""So many tokens before the end of a long prompt recurrent state is kept, for prompts that end otherwise."""
MOST_PROMPT_LOGITS = 64
"""Tokens of a prompt whose logits are held at once: 64 rows of a vocabulary of 262,144 are 64 MB."""


class PromptLogits(Protocol):
    """What wants the logits after a prompt's own tokens, as scoring a text does."""

    @property
    def first(self) -> int:
        """The first token of the prompt after which logits are wanted; they are wanted after all that follow, too."""
        ...

    def take(self, position: int, logits: Logits) -> None:
        """The logits after the prompt's tokens from `position` on: float32 [n, n_vocab]. Their memory is used again."""
        ...


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
        self._places: set[int] = set()  # of the prompt, where checkpoints are made
        self._unread: list[int] = []
        self._wanted: PromptLogits | None = None
        self._known_logits: Logits | None = None  # after a guess that was right
        self._offered: list[int] = []  # guesses that are being evaluated
        self._n_before = 0  # tokens evaluated before them

    def begin(self, prompt: Sequence[int], progress: Progress | None = None) -> Logits:
        """The logits after the prompt; evaluates only what the context does not hold, and at least the last token."""
        self.start(prompt)
        total = self.n_unread
        while (logits := self.read(total, progress, total)) is None:
            pass
        return logits

    def start(self, prompt: Sequence[int], wanted: PromptLogits | None = None) -> None:
        """Keeps what the context holds of the prompt and makes room for the rest, which `read` evaluates.

        wanted: gets the logits after the prompt's tokens.
        """
        context, self._text, self._wanted = self._context, list(prompt), wanted
        context.owner = self
        n_known = parting = self.known(prompt)
        if wanted is not None:
            n_known = min(n_known, wanted.first)
        if n_known < len(context.tokens):
            n_known = context.rewind(n_known)
        self._timings.n_prompt, self._timings.n_known = len(prompt), n_known
        while len(context.tokens) + len(prompt) - n_known > context.n_ctx:
            self._drop()
        self._unread = list(prompt[n_known:])
        far = {len(prompt) - n for n in GOING_BACK if n <= len(self._unread) // 2}
        self._places = {len(prompt) - 1, parting, *far}  # another answer to the prompt begins before its last token

    def keep(self, place: int) -> bool:
        """Where the context needs checkpoints, one is made when reading comes to a place of the prompt.

        Returns whether it is still to come.
        """
        self._places.add(place)
        return self.n_read < place < len(self._text)

    @property
    def n_read(self) -> int:
        """Tokens of the prompt that are evaluated."""
        return len(self._text) - len(self._unread)

    @property
    def n_unread(self) -> int:
        """Tokens of the prompt that are not yet evaluated."""
        return len(self._unread)

    def read(self, most: int, progress: Progress | None = None, total: int = 0) -> Logits | None:
        """Evaluates at most `most` tokens of the prompt, 1 or more; the logits after its last one, else None.

        progress counts to `total`, of all that is read.
        """
        if self._context.needs_checkpoints:
            most = min([most, *(place - self.n_read for place in self._places if place > self.n_read)])
        before = total - self.n_unread
        tell = progress
        if progress is not None and min(most, self.n_unread) < total:  # a piece of all that is read
            tell = lambda done, _: progress(before + done, total)  # noqa: E731
        logits = self._read(most, tell)
        if self.n_read in self._places and self._unread:
            self._context.checkpoint()
        return None if self._unread else logits

    def _read(self, most: int, progress: Progress | None) -> Logits:
        """The logits after the last token that is evaluated."""
        wanted, place = self._wanted, self.n_read
        if wanted is None or place < wanted.first:
            some = self._unread[: most if wanted is None else min(most, wanted.first - place)]
            logits: Logits = self._context.eval(some, progress=progress)
        else:
            some = self._unread[: min(most, MOST_PROMPT_LOGITS)]
            rows = self._context.eval(some, "all", progress)
            wanted.take(place, rows)
            logits = rows[-1]
        del self._unread[: len(some)]
        return logits

    def take_over(self, prompt: Sequence[int]) -> None:
        """Continues in a context that holds exactly the prompt."""
        self._text, self._context.owner = list(prompt), self
        self._timings.n_prompt = self._timings.n_known = len(prompt)

    def known(self, prompt: Sequence[int]) -> int:
        """How many tokens of a prompt need not be evaluated: a text that continues keeps what its context holds.

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
        if kept is None:
            return False
        n_known = self._context.reachable(self.known(prompt))
        return kept + len(prompt) - n_known < self._context.n_ctx

    def can_continue(self) -> bool:
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
        """The logits after the next token of the text; n_left: at most that many tokens are wanted after it."""
        return self.evaluate(self.extend(token, n_left))

    def extend(self, token: int, n_left: int | None = None, most_guesses: int | None = None) -> Sequence[int]:
        """Adds the next token to the text; the tokens to evaluate for it: itself and guesses after it.

        None where it was guessed and is evaluated already. Either `evaluate` follows, or `taken` with their logits.
        most_guesses: None is no bound.
        """
        self._text.append(token)
        if self._guesses:
            guess = self._guesses.popleft()
            if guess.token == token:
                self._timings.n_accepted += 1
                self._known_logits = guess.logits
                return ()
            self._forget_guesses(1)
        self._n_before, self._offered = len(self._context.tokens), list(self._propose(n_left, most_guesses))
        if self._offered:
            self._context.checkpoint(passing=True)
        return [token, *self._offered]

    def evaluate(self, tokens: Sequence[int]) -> Logits:
        """Evaluates what `extend` gave; the logits after the text."""
        if not tokens:
            return self.taken(None)
        if len(tokens) == 1:
            logits: Logits = self._context.eval(tokens)
            return logits
        try:
            rows = self._context.eval(tokens, "all")
        except Cancelled:
            self._context.rewind(min(self._n_before + 1, len(self._context.tokens)))
            raise
        return self.taken(rows)

    def taken(self, rows: Logits | None) -> Logits:
        """The logits after the text. rows: float32 [n, n_vocab] after what `extend` gave; None where it gave nothing.

        Those after the guesses are kept and must not change; `taken` gives the first row.
        """
        if rows is None:
            assert self._known_logits is not None
            return self._known_logits
        if self._offered:
            self._timings.n_drafted += len(self._offered)
            self._guesses.extend(Guess(one, row) for one, row in zip(self._offered, rows[1:], strict=True))
        first: Logits = rows[0]
        return first

    def again(self) -> Logits:
        """After an evaluation of what `extend` gave failed for the sake of others: the logits after the text."""
        self._offered = []
        held = len(self._context.tokens)
        # Recurrent state went back to a checkpoint; the text of such a context is never shifted.
        missing = self._text[held:] if self._context.needs_checkpoints else self._text[-1:]
        logits: Logits = self._context.eval(missing)
        return logits

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

    def _propose(self, n_left: int | None, most: int | None) -> Sequence[int]:
        if self._speculation is None:
            return ()
        room = self._context.n_ahead - 1
        bounds = [self._speculation.most, room, room if n_left is None else n_left - 1, room if most is None else most]
        return self._speculation.proposer.propose(self._text, min(bounds)) if min(bounds) > 0 else ()

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
    one, other = (some if isinstance(some, list) else list(some) for some in (first, second))
    n = min(len(one), len(other))
    if one[:n] == other[:n]:  # lists compare much faster than a loop
        return n
    low = 0
    while one[low : low + COMPARED] == other[low : low + COMPARED]:
        low += COMPARED
    pairs = zip(one[low:n], other[low:n], strict=True)
    return next(index for index, (a, b) in enumerate(pairs, low) if a != b)
