"""How much is evaluated again where a model's state cannot go back to every place (leaky.py)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from context_operations import Numbers
from leaky import N_VOCAB, leaky_file

from llamachat.engine.context import Context
from llamachat.engine.generate import GenerationOptions, Token, generate
from llamachat.engine.model import Model
from llamachat.engine.pool import ContextPool
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.scheduler import Job, Request, Scheduler
from llamachat.engine.state.answers import MOST_LOST
from llamachat.errors import Cancelled

OPTIONS = GenerationOptions(max_tokens=6, sampling=SamplingOptions(temp=1.0, seed=3))
TEXT = np.random.default_rng(2).integers(0, N_VOCAB, 3000).tolist()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    with leaky_file(tmp_path_factory.mktemp("own") / "leaky.gguf") as path, Model(path, 2) as loaded:
        yield loaded


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each evaluation of prompts had."""
    found: list[int] = []
    run = Context._run

    def counted(self: Context, rows: Any, *rest: Any) -> None:
        found.append(len(rows))
        run(self, rows, *rest)

    monkeypatch.setattr(Context, "_run", counted)
    return found


def answer(context: Context, prompt: list[int]) -> list[int]:
    return [event.id for event in generate(context, Numbers(), prompt, OPTIONS) if isinstance(event, Token)]


def answers(model: Model, prompts: list[list[int]], at_once: int, together: bool) -> list[list[int]]:
    """One scheduler's answers to prompts that come together, or one after the other."""
    running = Scheduler(ContextPool(lambda: model.context(4096), at_once), Numbers(), piece=256)
    found: dict[Job, list[int]] = {}
    for prompt in prompts:
        found[running.add(Request(prompt, OPTIONS))] = []
        while not together and not running.idle:
            _step(running, found)
    while not running.idle:
        _step(running, found)
    return list(found.values())


def _step(running: Scheduler, found: dict[Job, list[int]]) -> None:
    for job, event in running.step():
        if isinstance(event, Token):
            found[job].append(event.id)


@pytest.mark.parametrize("at_once", [1, 3])
def test_prompts_that_come_together_evaluate_their_common_beginning_once(
    model: Model, evaluated: list[int], at_once: int
) -> None:
    prompts = [[*TEXT[:600], *TEXT[1000 + 50 * i : 1050 + 50 * i]] for i in range(3)]
    found = answers(model, prompts, at_once, together=True)
    assert sum(n for n in evaluated if n > 1) <= 600 + 3 * 50
    assert found == [answer(model.context(4096), prompt) for prompt in prompts]


def test_where_two_texts_parted_a_third_one_begins(model: Model, evaluated: list[int]) -> None:
    prompts = [[*TEXT[:600], *TEXT[1000 + 400 * i : 1400 + 400 * i]] for i in range(3)]
    found = answers(model, prompts, 2, together=False)
    assert sum(n for n in evaluated if n > 1) <= 1000 + 1000 + 400
    assert found == [answer(model.context(4096), prompt) for prompt in prompts]


@pytest.mark.parametrize(("n_same", "most"), [(2990, 128), (2900, 128), (2000, 1100)])
def test_a_long_prompt_with_another_end_is_not_evaluated_anew(
    model: Model, evaluated: list[int], n_same: int, most: int
) -> None:
    context, other = model.context(4096), [*TEXT[:n_same], *([7] * 10)]
    answer(context, TEXT)
    evaluated.clear()
    found = answer(context, other)
    assert sum(n for n in evaluated if n > 1) <= most + 10
    assert found == answer(model.context(4096), other)


def test_a_message_in_the_middle_that_is_changed_twice_is_evaluated_from_there_the_second_time(
    model: Model, evaluated: list[int]
) -> None:
    context = model.context(4096)
    answer(context, TEXT[:1600])
    answer(context, [*TEXT[:900], *TEXT[2000:2400]])
    evaluated.clear()
    answer(context, [*TEXT[:900], *TEXT[2500:2900]])
    assert sum(evaluated[:-6]) <= 400 + 10


def test_what_is_stopped_loses_little(model: Model) -> None:
    context = model.context(4096)
    context.eval(TEXT[:200])
    for token in TEXT[200:500]:
        context.eval([token])
    context.cancel()
    with pytest.raises(Cancelled):
        context.eval(TEXT[500:600])
    assert 500 - MOST_LOST - 1 <= len(context.tokens) <= 500
    n = len(context.tokens)
    wanted = model.context(4096).eval(TEXT[:600], "all")[n:]
    assert np.array_equal(context.eval(TEXT[n:600], "all"), wanted)


def test_a_long_prompt_that_is_stopped_loses_a_batch(model: Model) -> None:
    context = model.context(4096)

    def stop(done: int, total: int) -> None:
        if done >= 2000:
            context.cancel()

    with pytest.raises(Cancelled):
        context.eval(TEXT, progress=stop)
    assert len(context.tokens) >= 2000 - 512
    n = len(context.tokens)
    assert np.array_equal(context.eval(TEXT[n:]), model.context(4096).eval(TEXT))
