"""Random schedules: whatever comes, goes, fails, guesses and shares memory, every answer is what it would be alone."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_own_architecture import file  # noqa: F401  # a model with recurrent state
from turning import Turning, alone, failing, prompt

from llamachat.engine.events import Failed, Stop, Token
from llamachat.engine.generate import GenerationOptions, Speculation
from llamachat.engine.model import Model
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.scheduler import Request
from llamachat.engine.speculation.lookup import Lookup

N_CTX = 300
N_REQUESTS = 12


@pytest.fixture(scope="module", params=["llama", "gemma3", "leaky"])
def model(request: pytest.FixtureRequest, golden: Path) -> Iterator[Model]:
    own = request.param == "leaky"
    path = request.getfixturevalue("file") if own else golden / "archs" / f"{request.param}.gguf"
    with Model(path, 2) as model:
        yield model


class Guessing:
    """Guesses of which some are right: the text as it will be, with faults."""

    def __init__(self, text: Sequence[int], rng: np.random.Generator) -> None:
        self._text, self._rng = text, rng

    def propose(self, tokens: Sequence[int], most: int) -> Sequence[int]:
        following = self._text[len(tokens) : len(tokens) + int(self._rng.integers(0, 9))]
        return [one if self._rng.random() < 0.8 else int(self._rng.integers(80)) for one in following][:most]


class Schedule:
    """What a seed gives: requests that share beginnings, and what each should say."""

    def __init__(self, model: Model, seed: int) -> None:
        self.model, self.rng = model, np.random.default_rng(seed)
        self.trunks = [prompt(i, 200) for i in range(3)]

    def number(self, first: int, last: int) -> int:
        return int(self.rng.integers(first, last + 1))

    def request(self) -> Request:
        if self.rng.random() < 0.1:
            return failing()
        trunk = self.trunks[self.number(0, 2)]
        ids = [*trunk[: self.number(1, 200)], *prompt(self.number(0, 5), self.number(0, 40))]
        sampling = SamplingOptions(temp=2, top_k=0, seed=self.number(0, 99))
        n_keep = self.number(-1, 5) if self.rng.random() < 0.3 else None
        n_answer = self.number(200, 300) if n_keep is not None and self.rng.random() < 0.3 else self.number(0, 30)
        options = GenerationOptions(max_tokens=n_answer, n_keep=n_keep, sampling=sampling)
        return Request(ids, options, n_begun=self.number(0, 3) if len(ids) > 3 else 0)

    def guessing(self, one: Request, said: Sequence[Any]) -> Request:
        """The same, often with guesses."""
        text = [*one.prompt[: len(one.prompt) - one.n_begun], *(event.id for event in said if isinstance(event, Token))]
        proposers = [None, None, Speculation(Lookup()), Speculation(Guessing(text, self.rng), self.number(1, 12))]
        return Request(one.prompt, one.options, None, proposers[self.number(0, 3)], one.n_begun)

    def turning(self) -> Turning:
        bytes_of = self.model.context(N_CTX).bytes_of
        budget = bytes_of(N_CTX) * self.number(1, 4) if self.rng.random() < 0.5 else None
        piece = self.number(1, 80)
        return Turning(self.model, self.number(1, 6), None, N_CTX, self.number(0, 3), budget=budget, piece=piece)


def expected(model: Model, one: Request) -> list[Any]:
    try:
        return alone(model, one, N_CTX)
    except Exception as error:
        return [str(error)]


@pytest.mark.parametrize("seed", range(3))
def test_every_answer_is_what_it_would_be_alone(model: Model, seed: int) -> None:
    schedule = Schedule(model, seed)
    turning = schedule.turning()
    plain = [schedule.request() for _ in range(N_REQUESTS)]
    wanted = [expected(model, one) for one in plain]
    jobs, cancelled = [], set()
    waiting = [schedule.guessing(one, said) for one, said in zip(plain, wanted, strict=True)]
    while waiting or not turning.scheduler.idle:
        arrived = schedule.number(0, 2)
        jobs += map(turning.add, waiting[:arrived])
        del waiting[:arrived]
        if jobs and schedule.rng.random() < 0.03:
            cancelled.add(jobs[-1])
            jobs[-1].cancel()
        turning.step()
    assert all(job.done for job in jobs)
    for job, said in zip(jobs, wanted, strict=True):
        found = [str(event.error) if isinstance(event, Failed) else event for event in turning.said(job)]
        if job in cancelled and isinstance(found[-1], Stop) and found[-1].reason == "cancelled":
            assert found[:-1] == said[: len(found) - 1]
        else:
            assert found == said
    assert len(cancelled) < len(jobs)
