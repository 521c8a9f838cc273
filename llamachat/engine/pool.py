"""The contexts of a model that requests share: free ones keep what was evaluated in them, for prompts that begin so.

Taken together they are a tree of prefixes: a prompt begins where the longest prefix that any of them holds ends, also
in the middle of what it holds, whether that context is free or busy. What was least recently used goes first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from llamachat.engine.context import Context
from llamachat.engine.events import EvaluatingContext, Timings
from llamachat.engine.generation_context import GenerationContext, common_prefix
from llamachat.engine.scheduler import Request
from llamachat.engine.speculation.proposer import DRAFT_MAX
from llamachat.errors import ContextFull, UsageError

WORTH_KEEPING: Final = 64
"""From this many tokens on that would be lost it pays to copy a prefix of a context instead of going back to there."""


class ContextPool:
    """At most `most` contexts that answer at a time, and `kept` more that only keep what was evaluated, all alike.

    make_context: makes one when it is needed. budget: bytes that all of them may take; None is no bound. A request
    counts with all that it may come to take; what free contexts keep gives way to it, the longest unused first. A
    request that alone exceeds the budget runs alone.
    """

    def __init__(
        self, make_context: Callable[[], Context], most: int, budget: int | None = None, kept: int = 0
    ) -> None:
        if most < 1 or kept < 0:
            raise UsageError(f"at least one answer must be written at a time, not {min(most, kept)}")
        self._make_context, self._most, self._kept, self._budget = make_context, most, kept, budget
        self._free: list[Context] = [make_context()]  # the longest unused first
        self._busy: dict[Context, int] = {}  # and the bytes that each may come to take
        self._touched: dict[Context, int] = {}  # bytes of memory that each has, also for what it holds no more
        self.n_ctx: int = self._free[0].n_ctx

    @property
    def contexts(self) -> list[Context]:
        """All that were made."""
        return [*self._free, *self._busy]

    @property
    def full(self) -> bool:
        """Whether as many answer as may."""
        return len(self._busy) >= self._most

    @property
    def taken_bytes(self) -> int:
        """What requests may come to take, and what free contexts keep."""
        return sum(self._busy.values()) + sum(self._touched.get(context, 0) for context in self._free)

    def check(self, request: Request) -> None:
        """Raises ContextFull for a prompt that is longer than a context."""
        if len(request.prompt) > self.n_ctx:
            raise ContextFull(
                f"the prompt has {len(request.prompt)} tokens, but a context holds {self.n_ctx}; shorten the prompt or "
                "use a larger context"
            )

    def known(self, prompt: Sequence[int]) -> int:
        """How many of a prompt's first tokens are evaluated somewhere; the last one never counts."""
        return max((_known(context, prompt) for context in self.contexts), default=0)

    def take(self, prompt: Sequence[int], most: int | None) -> Context | None:
        """A context with as much of the prompt as is known, for it and at most `most` tokens after it.

        None while all are busy, or where the budget has no room beside those that are.
        """
        if self.full:
            return None
        wanted = self._bytes_of(self.n_ctx if most is None else min(self.n_ctx, len(prompt) + most))
        source = max(self.contexts, key=lambda one: _known(one, prompt))
        target = self._target(prompt, source)
        if not self._make_room(wanted, target, source):
            if source in self._free and self._make_room(wanted, source, source):
                target = source
            elif self._busy:
                return None
            else:  # alone it may take what it needs
                target = source
                for context in self._free:
                    if context is not source:
                        self._forget(context)
        return self._begin(target, source, prompt, wanted)

    def give(self, context: EvaluatingContext) -> None:
        """Takes a context back; what is as if evaluated anew stays in it."""
        assert isinstance(context, Context)
        shifted = context.n_reusable < context.n_past  # it was full once
        touched = self._bytes_of(self.n_ctx if shifted else min(self.n_ctx, context.n_past + DRAFT_MAX))
        self._touched[context] = max(self._touched.get(context, 0), touched)
        context.rewind(context.n_reusable)
        del self._busy[context]
        self._free.append(context)

    def _begin(self, target: Context | None, source: Context, prompt: Sequence[int], wanted: int) -> Context:
        """Takes a context, a new one for None, and copies into it what the source knows of the prompt."""
        context = self._make_context() if target is None else target
        n_known = _known(source, prompt)
        if source is not context and n_known > _known(context, prompt):
            context.copy_prefix(source, n_known)
        if context in self._free:
            self._free.remove(context)
        self._busy[context] = max(wanted, self._touched.get(context, 0))
        return context

    def _target(self, prompt: Sequence[int], source: Context) -> Context | None:
        """Where a prompt is to be evaluated: a free context, or None for a new one.

        Not the source itself where it holds more that may be wanted again, as long as there is another.
        """
        if source in self._free and len(source.tokens) - _known(source, prompt) < WORTH_KEEPING:
            return source
        empty = next((one for one in self._free if not one.tokens), None)
        if empty is None and len(self.contexts) < self._most + self._kept:
            return None
        return empty or self._free[0]

    def _make_room(self, wanted: int, target: Context | None, source: Context) -> bool:
        """Whether that many bytes fit the budget; empties free contexts for it, the longest unused first."""
        if self._budget is None:
            return True
        own = self._touched.get(target, 0) if target is not None else 0
        if own > wanted and target is not source and target is not None:  # more than it is given back for
            self._forget(target)
            own = 0
        kept = {one for one in (target, source) if one is not None}
        others = [one for one in self._free if one not in kept]
        needed = self.taken_bytes - own + max(wanted, own) - self._budget
        if needed > sum(self._touched.get(one, 0) for one in others):
            return False
        for one in others:
            if needed <= 0:
                break
            needed -= self._touched.get(one, 0)
            self._forget(one)
        return True

    def _forget(self, context: Context) -> None:
        context.forget()
        self._touched[context] = 0

    def _bytes_of(self, n_tokens: int) -> int:
        return self.contexts[0].bytes_of(n_tokens)


class OneContext:
    """The caller's context, for one request at a time. What it holds of the text stays in it."""

    def __init__(self, context: EvaluatingContext, add_bos: bool) -> None:
        self.contexts, self._add_bos = (context,), add_bos
        self.full = False

    def check(self, request: Request) -> None:
        """Raises ContextFull for a prompt that does not fit, also not where old tokens are dropped."""
        (context,), n = self.contexts, len(request.prompt)
        if not GenerationContext(context, request.options.kept(n, self._add_bos), Timings()).fits(request.prompt):
            raise ContextFull(
                f"the prompt has {n} tokens, but the context holds {context.n_ctx}; shorten the prompt or use a "
                "larger context"
            )

    def known(self, prompt: Sequence[int]) -> int:
        """Nothing: there are no others to wait for."""
        return 0

    def take(self, prompt: Sequence[int], most: int | None) -> EvaluatingContext | None:
        """The context, if it is free."""
        if self.full:
            return None
        self.full = True
        return self.contexts[0]

    def give(self, context: EvaluatingContext) -> None:
        """It is the caller's."""
        self.full = False


def _known(context: Context, prompt: Sequence[int]) -> int:
    """How many tokens of the prompt a context holds as if they had been evaluated for it; all but the last at most."""
    same = common_prefix(context.tokens, prompt)
    return context.reusable(min(same, len(prompt) - 1))
