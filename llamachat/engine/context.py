"""A context: the state of one sequence, and the evaluation of tokens in it.

Tokens are evaluated in batches of at most 512. Results do not depend on how tokens are cut into calls or batches, on
what other sequences are evaluated beside them, nor on the number of threads: logits are equal to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Literal

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.backend.interface import Forward
from llamachat.engine.batch import EMBEDDED, Batch, Outputs, Wanted
from llamachat.engine.cancellation import Cancellation
from llamachat.engine.context_sizes import ContextSizes
from llamachat.engine.graph import states
from llamachat.engine.inputs import Inputs, What, embedding_inputs, given_inputs, token_inputs, wanted_result
from llamachat.engine.plan import Plan
from llamachat.engine.self_extend import GroupedPositions
from llamachat.engine.state.answers import StateAnswers
from llamachat.errors import Cancelled, ContextFull, UsageError

Progress = Callable[[int, int], None]
Fill = Callable[[np.ndarray], None]
WhichRows = Literal["last", "all"]


class Context(ContextSizes):
    """The tokens evaluated so far and their keys and values; made by `Model.context`. Not for two threads at once.

    n_reusable: the length of the prefix whose state equals that of a fresh prefill; tokens after it depend on tokens
    that were removed. owner: who generates in it, so that two cannot mix their texts. tokens: ids, and `EMBEDDED` where
    an embedding was given.

    Not every state can go back to every place: `reachable` says to which. Recurrent state needs a `checkpoint` there,
    and layers with a window keep only the last tokens (`state/windows.py`).
    """

    def __init__(self, forward: Forward, plan: Plan, n_ctx: int, grouped: GroupedPositions | None = None) -> None:
        super().__init__(forward, plan, n_ctx)
        self.n_reusable = 0
        self.owner: object = None
        self._grouped = grouped
        self._cancellation = Cancellation()
        self._answers = StateAnswers(states(plan.nodes), forward.ring)

    def eval(
        self,
        tokens: Sequence[int],
        logits: WhichRows = "last",
        progress: Progress | None = None,
        wanted: What = "logits",
        given: Mapping[str, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Evaluates tokens after those before: float32 [n_vocab] after the last one, or [n_tokens, n_vocab] for "all".

        wanted: "hidden" gives what the output head reads, the hidden states behind the last norm, instead of logits:
        float32 [width], or [n_tokens, width]. progress(done, total) is called after each batch. given: {name: float or
        int [n, width]} of what the model takes beside tokens (`graph.Given`), for all of these; nobody reuses them.

        Raises ContextFull before anything is evaluated, UsageError for ids that are not in the vocabulary and as
        `given_inputs`, Cancelled when `cancel` was called: finished batches stay evaluated.
        """
        inputs = self._checked(tokens)
        if given is not None:
            inputs = replace(inputs, given=given_inputs(given, self._plan))
        return self._eval(inputs, logits, progress, wanted)

    def eval_embeddings(
        self,
        embeddings: np.ndarray,
        logits: WhichRows = "last",
        progress: Progress | None = None,
        wanted: What = "logits",
    ) -> np.ndarray:
        """Evaluates vectors, float32 [n, width], in place of tokens' embeddings: what `eval` gives.

        A token's embedding is its row of the table, times the factor of architectures that have one (`graph.Embed`).
        In `tokens` each is `EMBEDDED`; a state that they are part of has no snapshot (`memory`). Raises as `eval`, and
        UsageError for another shape, numbers that are not finite, and models that read token ids in several places.
        """
        inputs = embedding_inputs(embeddings, self._plan)
        self._check_room(len(inputs))
        return self._eval(inputs, logits, progress, wanted)

    def _eval(self, rows: Inputs, which: WhichRows, progress: Progress | None, wanted: What) -> np.ndarray:
        if which not in ("last", "all"):
            raise UsageError(f'logits are wanted "last" or "all", not {which!r}')
        (what, width), whole, limits, done = wanted_result(wanted, self._plan), which == "all", self._forward.limits, 0
        results = np.empty((len(rows) if whole else 1, width), np.float32)
        size = limits.outputs if whole else limits.contiguous
        while done < len(rows):
            batch = rows[done : done + min(size, self._room())]
            last = done + len(batch) == len(rows)
            self._run(batch, what, results[done : done + len(batch)] if whole else results[: int(last)])
            done += len(batch)
            if progress is not None:
                progress(done, len(rows))
        return results if whole else results[0]

    def reachable(self, n_past: int) -> int:
        """The most tokens, n_past or fewer, that the context can be truncated to."""
        return self._answers.reachable(n_past, len(self.tokens))

    def reusable(self, n_past: int) -> int:
        """The most tokens, n_past or fewer, that are as if evaluated anew when it goes back to them."""
        n_left = self.reachable(min(n_past, self.n_reusable))
        return n_left if self._grouped is None or self._grouped.as_anew(n_left) else 0

    def rewind(self, n_past: int) -> int:
        """Forgets every token from position n_past on, and those before it that must be evaluated again.

        Returns how many are left: n_past, or fewer where that is not `reachable`, and none where they share positions
        (Self-Extend) that they would not share without those that follow.
        """
        n_left = self.reachable(n_past)
        if n_left <= self.n_reusable:
            n_left = self.reusable(n_left)
        self.truncate(n_left)
        return n_left

    @property
    def needs_checkpoints(self) -> bool:
        """Whether there are places that only a checkpoint makes reachable."""
        return self._answers.needs_checkpoints

    def checkpoint(self, passing: bool = False) -> None:
        """Makes the place after the last token reachable until several more are made; passing: until the next one."""
        if self.needs_checkpoints:
            self._answers.checkpoints.add(len(self.tokens), self._state.recurrent(), passing)

    def truncate(self, n_past: int) -> None:
        """Forgets every token from position n_past on. Raises UsageError for a place that is not `reachable`."""
        if not 0 <= n_past <= len(self.tokens):
            raise UsageError(f"cannot go back to {n_past} tokens: {len(self.tokens)} are evaluated")
        if self.reachable(n_past) != n_past:
            raise UsageError(f"cannot go back to {n_past} tokens: the model's state after them is not kept")
        if n_past < len(self.tokens) and self.needs_checkpoints:
            self._state.set_recurrent(self._answers.checkpoints.back_to(n_past))
        del self.tokens[n_past:]
        self._answers.kept.truncate(n_past)
        self.n_reusable = min(self.n_reusable, n_past)
        if self._grouped is not None and not self._grouped.truncate(n_past):
            self.n_reusable = 0

    @property
    def can_shift(self) -> bool:
        """Whether tokens can be taken out of the middle, as `remove` does, wherever `shift_refusal` has no reason."""
        return self._grouped is None and self._answers.can_shift

    def shift_refusal(self, first: int, last: int) -> str:
        """Why the tokens first .. last - 1 cannot be taken out; "" where they can."""
        if self._grouped is not None:
            return "a context with grouped positions (Self-Extend) cannot be shifted"
        return self._answers.shift_refusal(first, last, len(self.tokens))

    def remove(self, first: int, last: int) -> None:
        """Forgets the tokens first .. last - 1; those after them move down, their keys rotated to the new positions.

        They were computed with the removed ones, and stay so. Raises UsageError for tokens that are not there, and with
        the `shift_refusal` where there is one.
        """
        if not 0 <= first <= last <= len(self.tokens):
            raise UsageError(f"cannot forget tokens {first} to {last}: {len(self.tokens)} are evaluated")
        if refusal := self.shift_refusal(first, last):
            raise UsageError(refusal)
        if first == last:
            return
        n_past, n_lost, tokens = len(self.tokens), self.n_lost, self.tokens[:first] + self.tokens[last:]
        after = tokens, min(self.n_reusable, first), self._answers.kept.after_removal(first, last, n_past) or 0
        # An interruption leaves a shorter context, never one that claims what is half moved.
        self.rewind(first)
        if last < n_past:
            self._state.remove(first, last, n_past, n_lost)
        self.tokens, self.n_reusable, self._answers.kept.n_lost = after

    def fork(self) -> Context:
        """Another context with the same tokens evaluated: its cache is a copy."""
        other = Context(self._forward, self._plan, self.n_ctx)
        other.copy(self)
        return other

    def copy(self, other: Context) -> None:
        """Takes over the tokens of another context of the same model, size and cache type; forgets its own."""
        self.truncate(0)
        self._grouped = deepcopy(other._grouped)
        self._state.copy(other._state, len(other.tokens))
        self._answers.copy(other._answers)
        self.tokens, self.n_reusable = list(other.tokens), other.n_reusable

    def copy_prefix(self, other: Context, n_tokens: int) -> None:
        """Takes over the first n_tokens of another context of the same model, size and cache type; forgets its own.

        Raises UsageError for tokens that the other does not have, or has not as if evaluated anew.
        """
        if n_tokens < 0 or other.reusable(n_tokens) != n_tokens or other._plan.nodes is not self._plan.nodes:
            raise UsageError(f"{n_tokens} tokens cannot be taken over from another context")
        self.truncate(0)
        self._state.copy(other._state, n_tokens)
        self._answers.copy(other._answers)
        self._answers.kept.truncate(n_tokens)
        if self.needs_checkpoints and n_tokens < len(other.tokens):
            self._state.set_recurrent(self._answers.checkpoints.back_to(n_tokens))
        self.tokens, self.n_reusable = other.tokens[:n_tokens], n_tokens
        self._grouped = deepcopy(other._grouped)
        if self._grouped is not None:
            self._grouped.truncate(n_tokens)

    def forget(self) -> None:
        """Forgets everything and gives the memory back to the system."""
        self.truncate(0)
        self._state.release()

    def move(self, forward: Forward, plan: Plan) -> None:
        """Evaluates in another forward pass of the same model from now on; forgets what it has."""
        self.forget()
        self._forward, self._plan, self._state = forward, plan, forward.new_state()

    def take_over(self, other: Context) -> None:
        """Takes over the longest prefix of another context of the same model that fits and equals a fresh prefill.

        Forgets its own. None from other cache types or adapters, nor where positions are grouped (Self-Extend).
        """
        self.truncate(0)
        same = self.layout == other.layout and self._plan.nodes is other._plan.nodes
        if not same or self._grouped is not None or other._grouped is not None:
            return
        self.copy_prefix(other, other.reachable(min(other.n_reusable, self.n_ctx)))

    @property
    def self_extend(self) -> tuple[int, int] | None:
        """Group and width of positions that are shared; None where none are."""
        return None if self._grouped is None else (self._grouped.group, self._grouped.width)

    @property
    def n_ahead(self) -> int:
        """How many more tokens can be evaluated and then forgotten again without a trace."""
        n_past = len(self.tokens)
        room = self._answers.kept.n_ahead(n_past, self.n_ctx - n_past)
        return room if self._grouped is None else min(room, self._grouped.room(n_past))

    @property
    def n_lost(self) -> int:
        """How many of the first tokens layers with a window no longer keep."""
        return self._answers.kept.n_lost

    def memory(self, n_tokens: int) -> np.ndarray:
        """uint8 [n_bytes]: the state after the first n_tokens, valid until the next evaluation.

        Raises UsageError for more than are evaluated, for embeddings among them, where positions are grouped
        (Self-Extend), and for tokens after which the state is not kept.
        """
        if self._grouped is not None:
            raise UsageError("a context with grouped positions (Self-Extend) cannot be kept")
        if not 0 <= n_tokens <= len(self.tokens):
            raise UsageError(f"{n_tokens} tokens cannot be kept: {len(self.tokens)} are evaluated")
        if refusal := self._answers.keep_refusal(n_tokens, len(self.tokens)):
            raise UsageError(refusal)
        if EMBEDDED in self.tokens[:n_tokens]:
            raise UsageError("a context in which embeddings were evaluated cannot be kept: they are no tokens")
        return self._state.snapshot(n_tokens)

    def restore(
        self, tokens: Sequence[int], fill: Fill, n_reusable: int | None = None, n_lost: int | None = None
    ) -> None:
        """Makes the tokens evaluated: `fill` writes what `memory` gave for them into uint8 [n_bytes]; forgets its own.

        n_reusable, n_lost: as they were where the memory comes from; None: all of them, and nothing but what the next
        token sees is sure to be kept. Where `fill` raises, the context is empty. Raises UsageError as `memory`,
        ContextFull where they do not fit.
        """
        if self._grouped is not None:
            raise UsageError("a context with grouped positions (Self-Extend) cannot take over a cache")
        self.truncate(0)
        ids = self._checked(tokens).ids
        try:
            self._state.restore(len(ids), fill)
        except BaseException:
            self._lose_state()
            raise
        self._append(ids.tolist())
        self.n_reusable = len(ids) if n_reusable is None else max(0, min(n_reusable, len(ids)))
        self._answers.kept.n_lost = self._answers.kept.of_restored(len(ids), n_lost)

    def cancel(self) -> None:
        """Stops the evaluation that runs, or the next one, from another thread; it raises Cancelled."""
        self._cancellation.cancel()

    def resume(self) -> None:
        """Takes a `cancel` back that no evaluation has seen; waits for one that runs."""
        self._cancellation.resume()

    def _checked(self, tokens: Sequence[int]) -> Inputs:
        inputs = token_inputs(tokens, self._plan.n_vocab)
        self._check_room(len(inputs))
        return inputs

    def _check_room(self, n_tokens: int) -> None:
        if len(self.tokens) + n_tokens > self.n_ctx:
            raise ContextFull(
                f"{n_tokens} tokens do not fit: {len(self.tokens)} of the context's {self.n_ctx} are used; "
                "shorten the prompt or ask for a larger context"
            )

    def _room(self) -> int:
        """How many tokens may be evaluated at once; groups positions first where that is due."""
        if self._grouped is None:
            return self._forward.limits.contiguous
        n_past = len(self.tokens)
        while self._grouped.room(n_past) <= 0:
            # An interruption leaves an empty context, never one that claims keys that are half rotated.
            held, grouped = (list(self.tokens), self.n_reusable, self.n_lost), deepcopy(self._grouped)
            self.truncate(0)
            self._state.rotate(grouped.regroup(n_past), held[2])
            self._grouped = grouped
            self.tokens, self.n_reusable, self._answers.kept.n_lost = held
        return self._grouped.room(n_past)

    def _positions(self, n_tokens: int) -> np.ndarray:
        """Positions of the next tokens, whose cells are about to be written."""
        n_past = len(self.tokens)
        self._answers.begin_step(n_past, n_tokens, self._state.recurrent)
        return self._grouped.append(n_past, n_tokens) if self._grouped else np.arange(n_past, n_past + n_tokens)

    def _run(self, rows: Inputs, what: Wanted, out: NDArray[np.float32]) -> None:
        """One step; what is wanted of its last len(out) rows goes to out."""
        cells = np.arange(len(self.tokens), len(self.tokens) + len(rows))
        positions, vectors = self._positions(len(rows)), rows.embeddings
        batch = Batch([self._state], rows.ids, positions, cells, len(out), what, vectors, True, rows.given)
        try:
            self._forward.run(batch, Outputs(out, out), self._cancellation)
        except BaseException as error:
            self._lose_state()
            if isinstance(error, Cancelled):
                raise Cancelled(f"stopped after {len(self.tokens)} tokens") from None
            raise
        self._append(rows.ids.tolist(), reusable=not rows.given)

    def _lose_state(self) -> None:
        """A step that was not finished may have changed recurrent state: back to the last place that is known."""
        if self.needs_checkpoints:
            n_left = self._answers.known_before(len(self.tokens))
            self._state.set_recurrent(self._answers.checkpoints.back_to(n_left))
            self._answers.kept.truncate(n_left)
            del self.tokens[n_left:]
            self.n_reusable = min(self.n_reusable, n_left)

    def _append(self, tokens: list[int], reusable: bool = True) -> None:
        """Tokens that have been evaluated."""
        if reusable and self.n_reusable == len(self.tokens):
            self.n_reusable += len(tokens)
        self.tokens += tokens
