"""The contexts of a model that requests share: free ones keep what was evaluated in them, for prompts that begin so.

Taken together they are a tree of prefixes: a prompt begins where the longest one that any of them holds ends, whether
that context is free (then it is truncated) or busy (then the prefix is copied).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llamachat.engine.context import Context
from llamachat.engine.events import EvaluatingContext
from llamachat.engine.generation_context import common_prefix
from llamachat.engine.scheduler import Request
from llamachat.errors import ContextFull, UsageError


class ContextPool:
    """At most `most` contexts, made by `make_context` when needed, all alike.

    budget: bytes that what is evaluated may take in all of them; None is no bound. Contexts that are free give theirs
    back, the longest unused first.
    """

    def __init__(self, make_context: Callable[[], Context], most: int, budget: int | None = None) -> None:
        if most < 1:
            raise UsageError(f"at least one answer must be written at a time, not {most}")
        self._make_context, self._most, self._budget = make_context, most, budget
        self._free: list[Context] = [make_context()]  # the longest unused first
        self._busy: dict[Context, int] = {}  # and the bytes that each may come to take

    @property
    def contexts(self) -> list[Context]:
        """All that were made."""
        return [*self._free, *self._busy]

    @property
    def n_ctx(self) -> int:
        """Tokens that each can hold."""
        return self.contexts[0].n_ctx

    def check(self, request: Request) -> None:
        """Raises ContextFull for a prompt that is longer than a context."""
        if len(request.prompt) > self.n_ctx:
            raise ContextFull(f"the prompt has {len(request.prompt)} tokens, but a context holds {self.n_ctx}")

    def known(self, prompt: Sequence[int]) -> int:
        """So many tokens of a prompt are evaluated somewhere; the last one never counts."""
        return max((_known(context, prompt) for context in self.contexts), default=0)

    def take(self, prompt: Sequence[int], most: int | None) -> Context | None:
        """A context with as much of the prompt as is known, for it and at most so many tokens after it.

        None while all are busy, or where the budget has no room beside those that are.
        """
        if not self._free and len(self._busy) >= self._most:
            return None
        wanted = self.contexts[0].bytes_of(self.n_ctx if most is None else min(self.n_ctx, len(prompt) + most))
        if not self._make_room(wanted, prompt):
            return None
        context = self._choose(prompt)
        source = max([context, *self.contexts], key=lambda one: _known(one, prompt))
        if source is not context:
            context.copy_prefix(source, _known(source, prompt))
        self._busy[context] = wanted
        return context

    def give(self, context: EvaluatingContext) -> None:
        """Takes a context back; what is as if evaluated anew stays in it."""
        assert isinstance(context, Context)
        context.rewind(context.n_reusable)
        del self._busy[context]
        self._free.append(context)

    def _choose(self, prompt: Sequence[int]) -> Context:
        """A free context: the one that holds most of the prompt, else an empty one, else the longest unused."""
        best = max(self._free, key=lambda one: _known(one, prompt), default=None)
        if best is not None and _known(best, prompt):
            self._free.remove(best)
            return best
        empty = next((one for one in self._free if not one.tokens), None)
        if empty is None and len(self.contexts) < self._most:
            return self._make_context()
        context = empty or self._free[0]
        self._free.remove(context)
        return context

    def _make_room(self, wanted: int, prompt: Sequence[int]) -> bool:
        """Whether so many bytes fit the budget; empties free contexts for it, those useful for the prompt last.

        One request always fits: alone it may take what it needs.
        """
        if self._budget is None:
            return True
        for context in sorted(self._free, key=lambda one: _known(one, prompt) > 0):
            if self._taken() + wanted <= self._budget:
                break
            context.forget()
        return self._taken() + wanted <= self._budget or not self._busy

    def _taken(self) -> int:
        return sum(self._busy.values()) + sum(context.bytes_of(context.n_past) for context in self._free)


def _known(context: Context, prompt: Sequence[int]) -> int:
    """How many tokens of the prompt a context holds as if they had been evaluated for it; all but the last at most."""
    same = common_prefix(context.tokens, prompt)
    return context.reusable(min(same, len(prompt) - 1))
