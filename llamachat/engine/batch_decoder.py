"""`BatchDecoder`: tokens of several contexts, evaluated in one step, so that the weights are read once for all."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.batch import Batch, Outputs
from llamachat.engine.cancellation import Cancellation
from llamachat.engine.context import Context
from llamachat.engine.inputs import token_inputs
from llamachat.errors import UsageError


class BatchDecoder:
    """Evaluates tokens of several contexts in one step. Not for two threads at once."""

    def __init__(self) -> None:
        self._cancellation = Cancellation()

    def eval(
        self, contexts: Sequence[Context], tokens: Sequence[Sequence[int]], out: np.ndarray | None = None
    ) -> np.ndarray:
        """Evaluates the tokens tokens[i], one or more, in contexts[i]: the logits after each of them.

        float32 [all tokens, n_vocab], in their order, which is `out` where that is given. Each step takes as many
        contexts as fit `Context.max_apart` tokens.

        Raises before anything is evaluated: ContextFull; UsageError for ids that are not in the vocabulary, for more
        than max_apart tokens of one context, and for contexts that are not of one model, size and cache type, or that
        are twice in the list. Raises Cancelled when `cancel` was called: contexts whose step was finished have their
        tokens.
        """
        ids = _checked_together(contexts, tokens)
        ends = list(accumulate(map(len, tokens)))
        if out is None:
            out = np.empty((ends[-1], contexts[0].n_vocab), np.float32)
        first, begin = 0, 0
        while first < len(contexts):
            last = bisect_right(ends, begin + contexts[0].max_apart)
            end = ends[last - 1]
            self._run(list(zip(contexts[first:last], tokens[first:last], strict=True)), ids[begin:end], out[begin:end])
            first, begin = last, end
        return out

    def cancel(self) -> None:
        """Stops the evaluation that runs, or the next one, from another thread; it raises Cancelled."""
        self._cancellation.cancel()

    def resume(self) -> None:
        """Takes a `cancel` back that no evaluation has seen; waits for one that runs."""
        self._cancellation.resume()

    def _run(
        self, pairs: Sequence[tuple[Context, Sequence[int]]], ids: NDArray[np.int32], out: NDArray[np.float32]
    ) -> None:
        """One step: contexts with their tokens, which `ids` has one after the other."""
        for context, _ in pairs:
            context._room()
        states = [context._state for context, some in pairs for _ in some]
        cells = np.array([len(one.tokens) + i for one, some in pairs for i in range(len(some))])
        positions = np.concatenate([context._positions(len(some)) for context, some in pairs])
        batch = Batch(states, ids, positions, cells, n_outputs=len(states))
        try:
            pairs[0][0]._forward.run(batch, Outputs(out, out), self._cancellation)
        except BaseException:
            for context, _ in pairs:
                context._lose_state()
            raise
        for context, some in pairs:
            context._append([int(token) for token in some])


def _checked_together(contexts: Sequence[Context], tokens: Sequence[Sequence[int]]) -> NDArray[np.int32]:
    """All tokens, one after the other."""
    if not contexts or len(contexts) != len(tokens):
        raise UsageError(f"{len(contexts)} contexts cannot take {len(tokens)} lists of tokens: each needs one")
    if len({id(context._forward) for context in contexts}) != 1:
        raise UsageError("contexts that are evaluated together must be of one model, one size and one cache type")
    if len({id(context) for context in contexts}) != len(contexts):
        raise UsageError("a context cannot be evaluated together with itself")
    if not all(map(len, tokens)):
        raise UsageError("nothing to evaluate: a context's list of tokens is empty")
    if max(map(len, tokens)) > contexts[0].max_apart:
        raise UsageError(f"at most {contexts[0].max_apart} tokens of a context fit a step with others")
    ids = token_inputs([token for some in tokens for token in some], contexts[0].n_vocab).ids
    for context, some in zip(contexts, tokens, strict=True):
        context._check_room(len(some))
    return ids
