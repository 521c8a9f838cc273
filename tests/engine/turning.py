"""A scheduler that tests turn by hand, requests for it, and a clock that counts what evaluations would take."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from llamachat.engine.context import Context
from llamachat.engine.events import Event, Notice, Token
from llamachat.engine.generate import GenerationOptions, generate
from llamachat.engine.model import Model
from llamachat.engine.pool import ContextPool
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.scheduler import Job, Request, Scheduler

N_CTX = 1500


class Numbers:
    """A token prints its number; none ends a text."""

    n_vocab, eog, add_bos = 80, frozenset[int](), False

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        return f"{token} ".encode()

    def encode(self, text: str, add_special: bool = True) -> list[int]:
        return []


def prompt(seed: int, n: int) -> list[int]:
    return [int(token) for token in np.random.default_rng(seed).integers(1, 80, n)]


def request(seed: int, n_prompt: int = 12, n_answer: int = 10, **more: Any) -> Request:
    sampling = SamplingOptions(temp=2, top_k=0, seed=seed)
    return Request(prompt(seed, n_prompt), GenerationOptions(max_tokens=n_answer, sampling=sampling), **more)


def failing() -> Request:
    nothing = SamplingOptions(logit_bias=tuple(f"{token}-inf" for token in range(80)))
    return Request([1, 2, 3], GenerationOptions(sampling=nothing))


class Clock:
    """Counts seconds as a machine would take them: for an evaluation, for each token, for each cell that it sees."""

    def __init__(self, step_s: float, token_s: float, cell_s: float = 0.0) -> None:
        self.now = 0.0
        self._step_s, self._token_s, self._cell_s = step_s, token_s, cell_s

    def __call__(self) -> float:
        return self.now

    def evaluated(self, context: Context) -> Context:
        """The context; its evaluations take time."""
        run = context.eval

        def timed(tokens: Sequence[int], *rest: Any, **more: Any) -> np.ndarray:
            self.took(len(tokens), context.n_past)
            return run(tokens, *rest, **more)

        context.eval = timed  # type: ignore[method-assign, assignment]
        return context

    def took(self, n_tokens: int, n_past: int) -> None:
        """An evaluation."""
        self.now += self._step_s + n_tokens * (self._token_s + n_past * self._cell_s)


class Turning:
    """A scheduler, and the events of each job."""

    def __init__(
        self, model: Model, most: int, clock: Clock | None = None, n_ctx: int = N_CTX, kept: int = 0, **more: Any
    ) -> None:
        budget = more.pop("budget", None)

        def context() -> Context:
            return clock.evaluated(model.context(n_ctx)) if clock else model.context(n_ctx)

        self.pool = ContextPool(context, most, budget, kept)
        self.scheduler = Scheduler(self.pool, Numbers(), **more, **({"clock": clock} if clock else {}))
        self.events: dict[Job, list[Event]] = {}
        if clock is not None:
            self._time_batches(clock)

    def _time_batches(self, clock: Clock) -> None:
        batch = self.scheduler._decoder._batch
        run = batch.eval

        def timed(contexts: Sequence[Context], tokens: Sequence[Sequence[int]], *rest: Any) -> np.ndarray:
            clock.took(len(contexts), sum(context.n_past for context in contexts) // len(contexts))
            return run(contexts, tokens, *rest)

        batch.eval = timed  # type: ignore[method-assign]

    def add(self, one: Request) -> Job:
        job = self.scheduler.add(one)
        self.events[job] = []
        return job

    def step(self) -> list[tuple[Job, Event]]:
        happened = list(self.scheduler.step())
        for job, event in happened:
            self.events[job].append(event)
        return happened

    def finish(self) -> None:
        while not self.scheduler.idle:
            self.step()

    def until(self, reached: Callable[[], object]) -> None:
        while not reached():
            self.step()

    def said(self, job: Job) -> list[Event]:
        return [event for event in self.events[job] if not isinstance(event, Notice)]

    def tokens(self, job: Job) -> list[int]:
        return [event.id for event in self.events[job] if isinstance(event, Token)]


def alone(model: Model, one: Request, n_ctx: int = N_CTX) -> list[Event]:
    """What `generate` says to a request, without guesses."""
    return list(generate(model.context(n_ctx), Numbers(), one.prompt, one.options, n_begun=one.n_begun))
