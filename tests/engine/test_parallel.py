"""Several answers at once are what each would be alone."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from llamachat.engine.context import Context
from llamachat.engine.events import Event, Stop
from llamachat.engine.generate import GenerationOptions, generate
from llamachat.engine.model import Model
from llamachat.engine.parallel import Batch, Request
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import ContextFull, UsageError

PROMPTS = [np.random.default_rng(i).integers(1, 80, 3 + 5 * i).tolist() for i in range(7)]


class Numbers:
    """A token prints its number; 7 ends a text."""

    n_vocab, eog, add_bos = 80, frozenset({7}), False

    def piece_bytes(self, token: int) -> bytes:
        return f"{token} ".encode()

    def encode(self, text: str, add_special: bool = True) -> list[int]:
        return []


@pytest.fixture(scope="module")
def model(golden: Path) -> Iterator[Model]:
    with Model(golden / "archs" / "llama.gguf", 2) as model:
        assert model.n_vocab >= 80
        yield model


def options(i: int, max_tokens: int = 25, n_keep: int | None = None) -> GenerationOptions:
    return GenerationOptions(max_tokens=max_tokens, n_keep=n_keep, sampling=SamplingOptions(temp=2, top_k=0, seed=i))


def together(model: Model, wanted: list[Request], n_slots: int, n_ctx: int = 100) -> list[list[Event]]:
    found: list[list[Event]] = [[] for _ in wanted]
    for index, event in Batch(lambda: model.context(n_ctx), Numbers(), n_slots).answers(wanted):
        found[index].append(event)
    return found


def alone(context: Context, request: Request) -> list[Event]:
    return list(generate(context, Numbers(), request.prompt, request.options))


@pytest.mark.parametrize("n_slots", [1, 2, 3, 7, 20])
def test_answers_are_those_that_each_would_get_alone(model: Model, n_slots: int) -> None:
    wanted = [Request(prompt, options(i, 10 + 4 * i)) for i, prompt in enumerate(PROMPTS)]
    assert together(model, wanted, n_slots) == [alone(model.context(100), request) for request in wanted]


def test_one_prompt_is_evaluated_once(model: Model) -> None:
    made: list[Context] = []

    def make() -> Context:
        made.append(model.context(100))
        return made[-1]

    wanted = [Request(PROMPTS[3], options(i)) for i in range(4)]
    stops = [e for _, e in Batch(make, Numbers(), 4).answers(wanted) if isinstance(e, Stop)]
    assert len(made) == 1
    assert sorted(stop.timings.n_known for stop in stops) == [0, *[len(PROMPTS[3])] * 3]
    assert together(model, wanted, 4) == [alone(model.context(100), request) for request in wanted]


def test_full_contexts_end_or_shift_each_by_itself(model: Model) -> None:
    wanted = [
        Request(PROMPTS[2], options(13, 60)),
        Request(PROMPTS[4], options(2, 60, n_keep=3)),
        Request(PROMPTS[5], options(3, 20)),
    ]
    found = together(model, wanted, 3, n_ctx=40)
    assert found == [alone(model.context(40), request) for request in wanted]
    assert {stop.reason for *_, stop in found if isinstance(stop, Stop)} >= {"context", "length"}


def test_prompts_that_cannot_be_answered_are_named_before_anything_happens(model: Model) -> None:
    batch = Batch(lambda: model.context(20), Numbers(), 2)
    with pytest.raises(UsageError, match="prompt 2 is empty"):
        batch.answers([Request([1], options(0)), Request([], options(0))])
    with pytest.raises(ContextFull, match="prompt 2 has 21 tokens, but a context holds 20"):
        batch.answers([Request([1], options(0)), Request([1] * 21, options(0))])
    with pytest.raises(UsageError, match="at least one"):
        Batch(lambda: model.context(20), Numbers(), 0)


def test_cancelling_ends_every_answer(model: Model) -> None:
    batch = Batch(lambda: model.context(100), Numbers(), 2)
    wanted = [Request(prompt, options(i, 60)) for i, prompt in enumerate(PROMPTS)]
    ended: dict[int, str] = {}
    for count, (index, event) in enumerate(batch.answers(wanted)):
        if count == 9:
            batch.cancel()
        if isinstance(event, Stop):
            ended[index] = event.reason
    assert set(ended) == set(range(7))
    assert "cancelled" in ended.values()
