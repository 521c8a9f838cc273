"""`BatchDecoder`: tokens of several contexts, evaluated in one step, so that the weights are read once for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llamachat.engine.batch import Batch, Outputs, Wanted, wanted_of_last
from llamachat.engine.cancellation import Cancellation
from llamachat.engine.context import Context
from llamachat.errors import UsageError


class BatchDecoder:
    """Evaluates tokens of several contexts in one step. Not for two threads at once."""

    def __init__(self) -> None:
        self._cancellation = Cancellation()

    def eval(
        self, contexts: Sequence[Context], tokens: Sequence[Sequence[int]], out: np.ndarray | None = None
    ) -> np.ndarray:
        """Evaluates the tokens tokens[i], one or more, in contexts[i]: the logits after each of them.

        float32 [all tokens, n_vocab], in their order, which is `out` where that is given. Each step
        takes as many contexts as fit `Context.max_apart` tokens.

        Raises before anything is evaluated: ContextFull; UsageError for ids that are not in the vocabulary, for more
        than max_apart tokens of one context, and for contexts that are not of one model, size and cache type, or that
        are twice in the list. Raises Cancelled when `cancel` was called: contexts whose step was finished have their
        tokens.
        """
        ids = _checked_together(contexts, tokens)
        ends = np.cumsum([len(one) for one in ids])
        if out is None:
            out = np.empty((int(ends[-1]), contexts[0].n_vocab), np.float32)
        first, begin = 0, 0
        while first < len(contexts):
            last = int(np.searchsorted(ends, begin + contexts[0].max_apart, side="right"))
            end = int(ends[last - 1])
            self._run(contexts[first:last], ids[first:last], out[begin:end])
            first, begin = last, end
        return out

    def cancel(self) -> None:
        """Stops the evaluation that runs, or the next one, from another thread; it raises Cancelled."""
        self._cancellation.cancel()

    def resume(self) -> None:
        """Takes a `cancel` back that no evaluation has seen; waits for one that runs."""
        self._cancellation.resume()

    def _run(self, contexts: Sequence[Context], ids: Sequence[np.ndarray], out: np.ndarray) -> None:
        for context in contexts:
            context._room()
        pairs = [(context, len(some)) for context, some in zip(contexts, ids, strict=True)]
        states = [context._state for context, n in pairs for _ in range(n)]
        cells = np.concatenate([np.arange(len(one.tokens), len(one.tokens) + n) for one, n in pairs])
        positions = np.concatenate([context._positions(n) for context, n in pairs])
        wanted = wanted_of_last(len(states), len(states), Wanted.LOGITS)
        batch = Batch(states, np.concatenate(ids), positions, cells, wanted)
        try:
            contexts[0]._forward.run(batch, Outputs(out, out), self._cancellation)
        except BaseException:
            for context in contexts:
                context._lose_state()
            raise
        for context, some in zip(contexts, ids, strict=True):
            context._append(some.tolist())


def _checked_together(contexts: Sequence[Context], tokens: Sequence[Sequence[int]]) -> list[np.ndarray]:
    if not contexts or len(contexts) != len(tokens):
        raise UsageError(f"{len(contexts)} contexts cannot take {len(tokens)} lists of tokens: each needs one")
    if len({id(context._forward) for context in contexts}) != 1:
        raise UsageError("contexts that are evaluated together must be of one model, one size and one cache type")
    if len({id(context) for context in contexts}) != len(contexts):
        raise UsageError("a context cannot be evaluated together with itself")
    if max(map(len, tokens)) > contexts[0].max_apart:
        raise UsageError(f"at most {contexts[0].max_apart} tokens of a context fit a step with others")
    return [context._checked(some).ids for context, some in zip(contexts, tokens, strict=True)]
