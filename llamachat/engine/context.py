"""A context: the KV cache of one sequence, and the evaluation of tokens in it.

Tokens are evaluated in batches of at most 512. Results do not depend on how tokens are cut into calls or batches, on
what other sequences are evaluated beside them, nor on the number of threads: logits are equal to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Literal

import numpy as np

from llamachat.engine.backend.cpu.buffers import Buffer
from llamachat.engine.backend.cpu.engine import BATCH
from llamachat.engine.backend.cpu.forward import APART, Forward, Rows
from llamachat.engine.backend.cpu.workers import Step
from llamachat.engine.self_extend import GroupedPositions
from llamachat.engine.state.checkpoints import Checkpoints
from llamachat.errors import Cancelled, ContextFull, UsageError

CacheType = Literal["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"]
Progress = Callable[[int, int], None]


class Context:
    """The tokens evaluated so far and their keys and values; made by `Model.context`. Not for two threads at once.

    n_reusable: so many of the first tokens have the keys and values that evaluating them anew would give; those after
    them know of tokens that are forgotten. owner: who generates in it, so that two cannot mix their texts.

    A model with recurrent state cannot go back to every place: `reachable` says to which. `checkpoint` makes one.
    """

    def __init__(self, forward: Forward, n_ctx: int, grouped: GroupedPositions | None = None) -> None:
        if n_ctx < 1:
            raise UsageError(f"a context needs at least one token, not {n_ctx}")
        self.n_ctx = n_ctx
        self.tokens: list[int] = []
        self.n_reusable = 0
        self.owner: object = None
        self._grouped = grouped
        self._forward = forward
        self._cache = Buffer(forward.layout.n_bytes, whole=True)
        self._step = Step()
        self._checkpoints = Checkpoints()

    @property
    def n_past(self) -> int:
        """How many tokens are evaluated."""
        return len(self.tokens)

    @property
    def n_vocab(self) -> int:
        """How many tokens the model has."""
        return self._forward.engine.n_vocab

    @property
    def max_apart(self) -> int:
        """How many tokens a step can take that are of several contexts."""
        return min(APART, self._forward.most_logits)

    @property
    def cache_bytes(self) -> int:
        """Memory that the cache may take when full."""
        return self._cache.n_bytes

    def eval(
        self, tokens: Sequence[int], logits: Literal["last", "all"] = "last", progress: Progress | None = None
    ) -> np.ndarray:
        """Evaluates tokens after those before: float32 [n_vocab] after the last one, or [n_tokens, n_vocab] for "all".

        progress(done, total) is called after each batch. Raises ContextFull before anything is evaluated, UsageError
        for ids that are not in the vocabulary, Cancelled when `cancel` was called: finished batches stay evaluated.
        """
        if logits not in ("last", "all"):
            raise UsageError(f'logits are wanted "last" or "all", not {logits!r}')
        ids = self._checked(tokens)
        whole = logits == "all"
        results = np.empty((len(ids) if whole else 1, self.n_vocab), np.float32)
        size, done = self._forward.most_logits if whole else BATCH, 0
        while done < len(ids):
            batch = ids[done : done + min(size, self._room())]
            last = done + len(batch) == len(ids)
            self._run(batch, results[done : done + len(batch)] if whole else results[: int(last)])
            done += len(batch)
            if progress is not None:
                progress(done, len(ids))
        return results if whole else results[0]

    def reachable(self, n_past: int) -> int:
        """The most tokens, n_past or fewer, that the context can be truncated to."""
        if n_past >= len(self.tokens) or not self._forward.layout.state_bytes:
            return min(n_past, len(self.tokens))
        return self._checkpoints.before(n_past)

    def rewind(self, n_past: int) -> int:
        """Forgets every token from position n_past on, and those before it that must be evaluated again.

        Returns how many are left: n_past, or fewer where recurrent state had to go back to a checkpoint.
        """
        n_left = self.reachable(n_past)
        self.truncate(n_left)
        return n_left

    @property
    def needs_checkpoints(self) -> bool:
        """Whether there are places that only a checkpoint makes reachable."""
        return self._forward.layout.state_bytes > 0

    def checkpoint(self, passing: bool = False) -> None:
        """Makes the place after the last token reachable until several more are made; passing: until the next one."""
        if self.needs_checkpoints:
            self._checkpoints.add(len(self.tokens), self._forward.layout.states_in(self._cache), passing)

    def truncate(self, n_past: int) -> None:
        """Forgets every token from position n_past on. Raises UsageError for a place that is not `reachable`."""
        if not 0 <= n_past <= len(self.tokens):
            raise UsageError(f"cannot go back to {n_past} tokens: {len(self.tokens)} are evaluated")
        if self.reachable(n_past) != n_past:
            raise UsageError(f"cannot go back to {n_past} tokens: the model's state after them is not kept")
        if n_past < len(self.tokens) and self._forward.layout.state_bytes:
            self._checkpoints.restore(n_past, self._forward.layout.states_in(self._cache))
        del self.tokens[n_past:]
        self.n_reusable = min(self.n_reusable, n_past)
        if self._grouped is not None and not self._grouped.truncate(n_past):
            self.n_reusable = 0

    @property
    def can_shift(self) -> bool:
        """Whether tokens can be taken out of the middle, as `remove` does."""
        return self._grouped is None and not self._shift_refusal

    @property
    def _shift_refusal(self) -> str:
        """Why the model's state cannot be shifted; "" where it can."""
        return next((state.shift_refusal for state in self._forward.layout.states if state.shift_refusal), "")

    def remove(self, first: int, last: int) -> None:
        """Forgets the tokens first .. last - 1; those after them move down, their keys turned to the new positions.

        What they know of the forgotten ones stays in them. Raises UsageError for tokens that are not there, and where
        positions are grouped (Self-Extend).
        """
        if not 0 <= first <= last <= len(self.tokens):
            raise UsageError(f"cannot forget tokens {first} to {last}: {len(self.tokens)} are evaluated")
        if self._grouped is not None:
            raise UsageError("a context with grouped positions (Self-Extend) cannot be shifted")
        if refusal := self._shift_refusal:
            raise UsageError(f"a context of this model cannot be shifted: {refusal}")
        n_reusable = self.n_reusable
        sources, moved = np.arange(last, len(self.tokens)), self.tokens[last:]
        # An interruption leaves a shorter context, never one that claims what is half moved.
        self.truncate(first)
        if first < last and moved:
            gap = last - first
            self._forward.turn_keys(self._cache, sources, sources - gap, np.full(len(sources), -gap))
            self._forward.layout.move_values(self._cache, last, last + len(moved), first)
        elif moved:
            self.n_reusable = n_reusable
        self.tokens += moved

    def fork(self) -> Context:
        """Another context with the same tokens evaluated: its cache is a copy."""
        other = Context(self._forward, self.n_ctx)
        other.copy(self)
        return other

    def copy(self, other: Context) -> None:
        """Takes over the tokens of another context of the same model, size and cache type; forgets its own."""
        self.truncate(0)
        self._grouped = deepcopy(other._grouped)
        self._forward.layout.copy(other._cache, self._cache, len(other.tokens))
        self._checkpoints.copy(other._checkpoints)
        self.tokens, self.n_reusable = list(other.tokens), other.n_reusable

    def copy_prefix(self, other: Context, n_tokens: int) -> None:
        """Takes over the first n_tokens of another context of the same model, size and cache type; forgets its own.

        Raises UsageError for tokens that the other does not have, or has not as if evaluated anew.
        """
        if not 0 <= n_tokens <= other.n_reusable or other.reachable(n_tokens) != n_tokens:
            raise UsageError(f"{n_tokens} tokens cannot be taken over from another context")
        self.truncate(0)
        layout = self._forward.layout
        layout.copy(other._cache, self._cache, n_tokens)
        if layout.state_bytes:
            self._checkpoints.copy(other._checkpoints)
            if n_tokens < len(other.tokens):
                self._checkpoints.restore(n_tokens, layout.states_in(self._cache))
        self.tokens, self.n_reusable = other.tokens[:n_tokens], n_tokens

    def bytes_of(self, n_tokens: int) -> int:
        """Memory that so many tokens take."""
        return self._forward.layout.used_bytes(n_tokens)

    def forget(self) -> None:
        """Forgets everything and gives the memory back to the system."""
        self.truncate(0)
        self._cache.release()

    def take_over(self, other: Context) -> None:
        """Takes over as many first tokens of another context of the same model as fit and are as if evaluated anew.

        Forgets its own. From other cache types, or where positions are grouped (Self-Extend), it takes none.
        """
        self.truncate(0)
        if self.layout != other.layout or self._grouped is not None or other._grouped is not None:
            return
        n_tokens = min(other.n_reusable, self.n_ctx)
        if not self.needs_checkpoints or n_tokens == len(other.tokens):
            self.copy_prefix(other, n_tokens)

    @property
    def self_extend(self) -> tuple[int, int] | None:
        """Group and width of positions that are shared; None where none are."""
        return None if self._grouped is None else (self._grouped.group, self._grouped.width)

    @property
    def cache_types(self) -> tuple[str, str]:
        """The types of its keys and values."""
        shape = self._forward.layout.shape
        return shape.type_k, shape.type_v

    @property
    def n_ahead(self) -> int:
        """So many more tokens can be evaluated and then forgotten again as if they had never been."""
        n_past = len(self.tokens)
        return self.n_ctx - n_past if self._grouped is None else min(self.n_ctx - n_past, self._grouped.room(n_past))

    @property
    def layout(self) -> str:
        """How the cache lies in memory; what `memory` gives fits contexts with the same layout, of the same model."""
        return self._forward.layout.description

    @property
    def parts(self) -> list[tuple[int, str]]:
        """Of what `memory` gives, as often as it repeats: bytes, and the type of what is in them, "" for nothing."""
        return self._forward.layout.parts

    def memory(self, n_tokens: int) -> np.ndarray:
        """uint8: the stretch of the cache that holds the first n_tokens; valid until the next evaluation.

        Raises UsageError for more than are evaluated, and where positions are grouped (Self-Extend).
        """
        if self._grouped is not None:
            raise UsageError("a context with grouped positions (Self-Extend) cannot be kept")
        if not 0 <= n_tokens <= len(self.tokens):
            raise UsageError(f"{n_tokens} tokens cannot be kept: {len(self.tokens)} are evaluated")
        if self._forward.layout.state_bytes and n_tokens < len(self.tokens):
            raise UsageError(f"{n_tokens} tokens cannot be kept: the model's state is that after {len(self.tokens)}")
        return self._cache.bytes[: self._forward.layout.used_bytes(n_tokens)]

    def restore(self, tokens: Sequence[int], fill: Callable[[np.ndarray], None], n_reusable: int | None = None) -> None:
        """Makes the tokens evaluated: `fill` writes what `memory` gave for them. What was there before is forgotten.

        n_reusable: as it was where the memory comes from; None: all of them. Where `fill` raises, the context is empty.
        Raises UsageError as `memory`, ContextFull where they do not fit.
        """
        if self._grouped is not None:
            raise UsageError("a context with grouped positions (Self-Extend) cannot take over a cache")
        self.truncate(0)
        ids = self._checked(tokens)
        fill(self._cache.bytes[: self._forward.layout.used_bytes(len(ids))])
        self._append(ids.tolist())
        self.n_reusable = len(ids) if n_reusable is None else max(0, min(n_reusable, len(ids)))

    def cancel(self) -> None:
        """Stops the evaluation that runs, or the next one, from another thread; it raises Cancelled."""
        self._step.set(cancel=1)

    def resume(self) -> None:
        """Takes a `cancel` back that no evaluation has seen; waits for one that runs."""
        self._step.resume()

    def _checked(self, tokens: Sequence[int]) -> np.ndarray:
        n_vocab = self.n_vocab
        if not len(tokens):
            raise UsageError("nothing to evaluate: the list of tokens is empty")
        ids = np.asarray(tokens)
        if ids.ndim != 1 or ids.dtype.kind not in "iu" or min(tokens) < 0 or max(tokens) >= n_vocab:
            raise UsageError(f"token ids must be between 0 and {n_vocab - 1}")
        if len(self.tokens) + len(ids) > self.n_ctx:
            raise ContextFull(
                f"{len(ids)} tokens do not fit: {len(self.tokens)} of the context's {self.n_ctx} are used; "
                "shorten the prompt or ask for a larger context"
            )
        return ids.astype(np.int32)

    def _room(self) -> int:
        """How many tokens may be evaluated at once; groups positions first where that is due."""
        if self._grouped is None:
            return BATCH
        cells = np.arange(len(self.tokens))
        while self._grouped.room(len(cells)) <= 0:
            # An interruption leaves an empty context, never one that claims keys that are half turned.
            held, reusable, grouped = list(self.tokens), self.n_reusable, deepcopy(self._grouped)
            self.truncate(0)
            self._forward.turn_keys(self._cache, cells, cells, grouped.regroup(len(cells)))
            self.tokens, self.n_reusable, self._grouped = held, reusable, grouped
        return self._grouped.room(len(cells))

    def _positions(self, n_tokens: int) -> np.ndarray:
        """Positions of the next tokens."""
        n_past = len(self.tokens)
        return self._grouped.append(n_past, n_tokens) if self._grouped else np.arange(n_past, n_past + n_tokens)

    def _run(self, batch: np.ndarray, out: np.ndarray) -> None:
        """One step; the logits of its last len(out) tokens go to out."""
        cells = np.arange(len(self.tokens), len(self.tokens) + len(batch))
        rows = Rows(batch, self._forward.layout.cells(self._cache), cells, self._positions(len(batch)))
        try:
            self._forward.step(self._step, rows, out)
        except BaseException as error:
            self._lose_state()
            if isinstance(error, Cancelled):
                raise Cancelled(f"stopped after {len(self.tokens)} tokens") from None
            raise
        self._append(batch.tolist())

    def _lose_state(self) -> None:
        """A step that was not finished may have changed recurrent state: back to the last place that is known."""
        if self._forward.layout.state_bytes:
            n_left = self._checkpoints.before(len(self.tokens))
            self._checkpoints.restore(n_left, self._forward.layout.states_in(self._cache))
            del self.tokens[n_left:]
            self.n_reusable = min(self.n_reusable, n_left)

    def _append(self, tokens: list[int]) -> None:
        """Tokens that have been evaluated."""
        if self.n_reusable == len(self.tokens):
            self.n_reusable += len(tokens)
        self.tokens += tokens


class BatchDecoder:
    """Evaluates tokens of several contexts in one step. Not for two threads at once."""

    def __init__(self) -> None:
        self._step = Step()

    def eval(
        self, contexts: Sequence[Context], tokens: Sequence[Sequence[int]], out: np.ndarray | None = None
    ) -> np.ndarray:
        """Evaluates tokens[i], one or more, in contexts[i]: float32 [all tokens, n_vocab], after each, in this order.

        That is `out` where it is given. Each step takes as many contexts as fit `Context.max_apart` tokens. Raises
        before anything is evaluated: ContextFull; UsageError for ids that are not in the vocabulary, more than
        max_apart tokens of a context, and contexts that are not of one model, size and cache type, or twice in the
        list. Raises Cancelled when `cancel` was called: contexts whose step was finished have their tokens.
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
        self._step.set(cancel=1)

    def resume(self) -> None:
        """Takes a `cancel` back that no evaluation has seen; waits for one that runs."""
        self._step.resume()

    def _run(self, contexts: Sequence[Context], ids: Sequence[np.ndarray], out: np.ndarray) -> None:
        for context in contexts:
            context._room()
        lengths = [len(one) for one in ids]
        caches = np.array([context._forward.layout.cells(context._cache) for context in contexts])
        pairs = list(zip(contexts, lengths, strict=True))
        cells = np.concatenate([np.arange(len(one.tokens), len(one.tokens) + n) for one, n in pairs])
        positions = np.concatenate([context._positions(n) for context, n in pairs])
        rows = Rows(np.concatenate(ids), np.repeat(caches, lengths), cells, positions, run=False)
        try:
            contexts[0]._forward.step(self._step, rows, out)
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
    return [context._checked(some) for context, some in zip(contexts, tokens, strict=True)]
