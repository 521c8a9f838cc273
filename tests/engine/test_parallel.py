"""Several answers at once are what each would be alone."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamachat.engine.context import Context
from llamachat.engine.events import Event, Failed, Stop
from llamachat.engine.generate import GenerationOptions, generate
from llamachat.engine.model import Model
from llamachat.engine.parallel import Batch, Request
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.state.cache_types import CacheType
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


class Contexts:
    """Makes contexts and remembers them."""

    def __init__(self, model: Model, n_ctx: int = 100, **more: Any) -> None:
        self.made: list[Context] = []
        self._model, self._n_ctx, self._more = model, n_ctx, more

    def __call__(self) -> Context:
        self.made.append(self._model.context(self._n_ctx, **self._more))
        return self.made[-1]


def stops_of(events: Iterable[tuple[int, Event]]) -> list[tuple[int, str]]:
    return [(index, event.reason) for index, event in events if isinstance(event, Stop)]


def test_one_prompt_is_evaluated_once(model: Model) -> None:
    wanted = [Request(PROMPTS[3], options(i)) for i in range(4)]
    events = Batch(Contexts(model), Numbers(), 4).answers(wanted)
    stops = [event for _, event in events if isinstance(event, Stop)]
    assert sorted(stop.timings.n_known for stop in stops) == [0, *[len(PROMPTS[3])] * 3]
    assert together(model, wanted, 4) == [alone(model.context(100), request) for request in wanted]


def test_there_are_never_more_contexts_than_answers_at_a_time(model: Model) -> None:
    contexts = Contexts(model)
    batch = Batch(contexts, Numbers(), 3)
    for _ in range(2):
        assert len(stops_of(batch.answers([Request(PROMPTS[3], options(i, 5 + i)) for i in range(12)]))) == 12
    assert len(contexts.made) == 3


@pytest.mark.parametrize("kind", ["q8_0", "q4_0"])
def test_blocks_of_cached_keys_are_no_different_together(smollm2: Path, kind: CacheType) -> None:
    with Model(smollm2, 2) as model:
        check_blocks(model, kind)


def check_blocks(model: Model, kind: CacheType) -> None:
    def context() -> Context:
        return model.context(100, kind, kind)

    wanted = [Request(prompt, options(i)) for i, prompt in enumerate(PROMPTS[:4])]
    found: list[list[Event]] = [[] for _ in wanted]
    for index, event in Batch(context, Numbers(), 3).answers(wanted):
        found[index].append(event)
    assert found == [alone(context(), request) for request in wanted]


def test_a_prompt_that_a_shifted_context_holds_is_evaluated_anew(model: Model) -> None:
    first = alone(model.context(40), Request(PROMPTS[4], options(2, 60, n_keep=3)))
    shifted = model.context(40)
    alone(shifted, Request(PROMPTS[4], options(2, 60, n_keep=3)))
    held = list(shifted.tokens)
    wanted = [Request(PROMPTS[4], options(2, 60, n_keep=3)), Request(held, options(5, 8))]
    assert together(model, wanted, 1, n_ctx=40) == [first, alone(model.context(40), wanted[1])]


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


def test_options_that_no_answer_can_have_are_named_before_anything_happens(model: Model) -> None:
    wrong = GenerationOptions(sampling=SamplingOptions(logit_bias=("900-inf",)))
    with pytest.raises(UsageError, match="prompt 2: "):
        Batch(Contexts(model), Numbers(), 2).answers([Request([1], options(0)), Request([1], wrong)])


@pytest.mark.parametrize("moment", [0, 1, 9, 60, 61, 62, 63])
def test_cancelling_ends_every_answer_once(model: Model, moment: int) -> None:
    contexts = Contexts(model)
    batch = Batch(contexts, Numbers(), 2)
    wanted = [Request(prompt, options(i, 30 + 2 * i)) for i, prompt in enumerate(PROMPTS)]
    events: list[tuple[int, Event]] = []
    for count, event in enumerate(batch.answers(wanted)):
        events.append(event)
        if count == moment:
            batch.cancel()
    assert sorted(index for index, _ in stops_of(events)) == list(range(7))
    assert "cancelled" in {reason for _, reason in stops_of(events)}
    batch.resume()
    assert [e for i, e in batch.answers(wanted[:1])] == alone(model.context(100), wanted[0])
    assert len(contexts.made) == 2


@pytest.mark.parametrize("which", [0, 1, 3])
def test_any_prompt_can_be_cancelled_while_it_is_read(model: Model, which: int) -> None:
    long = [np.random.default_rng(i).integers(1, 80, 600).tolist() for i in range(5)]
    batch, seen = Batch(Contexts(model, 700), Numbers(), 5), [0]

    def progress(done: int, total: int) -> None:
        seen[0] += 1
        if seen[0] == 2 * which + 1:
            batch.cancel()

    stops = stops_of(batch.answers([Request(prompt, options(0, 90)) for prompt in long], progress))
    assert seen[0] == 2 * which + 1  # nothing was read after it
    assert sorted(stops) == [(index, "cancelled") for index in range(5)]


def test_an_answer_that_fails_ends_alone_and_leaves_its_context_to_the_next(model: Model) -> None:
    contexts = Contexts(model)
    batch = Batch(contexts, Numbers(), 2)
    nothing = SamplingOptions(logit_bias=tuple(f"{token}-inf" for token in range(model.n_vocab)))
    wanted = [Request(PROMPTS[0], options(0)), Request([1, 2], GenerationOptions(sampling=nothing))]
    found: list[list[Event]] = [[], []]
    for index, event in batch.answers(wanted):
        found[index].append(event)
    (failed,) = found[1]
    assert isinstance(failed, Failed)
    assert "made impossible" in str(failed.error)
    assert found[0] == alone(model.context(100), wanted[0])
    events = batch.answers([Request(PROMPTS[0], options(0))])
    next(events)
    events.close()
    assert [e for _, e in batch.answers([Request(PROMPTS[1], options(1))])] == alone(
        model.context(100), Request(PROMPTS[1], options(1))
    )
    assert len(contexts.made) == 2


def test_figures_are_those_of_one_answer(model: Model) -> None:
    wanted = [Request(PROMPTS[4], options(2, 60, n_keep=3))]
    (stop,) = [e for _, e in Batch(Contexts(model, 40), Numbers(), 2).answers(wanted) if isinstance(e, Stop)]
    single = alone(model.context(40), wanted[0])[-1]
    assert isinstance(single, Stop)
    for name in ("n_prompt", "n_known", "n_generated", "n_keep", "n_forgotten", "n_past"):
        assert getattr(stop.timings, name) == getattr(single.timings, name), name
