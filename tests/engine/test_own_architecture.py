"""An operation with recurrent state and an architecture that uses it (leaky.py), run from a GGUF file.

No file of the package knows of them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_models import nmse
from leaky import N_VOCAB, leaky_file

from llamachat.engine.batch_decoder import BatchDecoder
from llamachat.engine.context import Context
from llamachat.engine.generate import GenerationOptions, Speculation, Stop, Token, generate
from llamachat.engine.model import Model
from llamachat.engine.models import describe
from llamachat.engine.pool import ContextPool
from llamachat.engine.reference import evaluate
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.scheduler import Job, Request, Scheduler
from llamachat.errors import Cancelled, UsageError


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with leaky_file(tmp_path_factory.mktemp("own") / "leaky.gguf") as path:
        yield path


@pytest.fixture(scope="module")
def model(file: Path) -> Any:
    with Model(file, 2) as loaded:
        yield loaded


TOKENS = np.random.default_rng(1).integers(0, N_VOCAB, 60).tolist()


def whole(model: Model, tokens: list[int] = TOKENS) -> np.ndarray:
    return model.context(512).eval(tokens, "all")


def test_its_logits_are_those_of_its_reference(model: Model) -> None:
    spec = describe(model.file.metadata, model.file.tensors)
    wanted = evaluate(spec.graph(), lambda name: model.file.tensors[name].data.view(np.float32), TOKENS)
    assert nmse(whole(model), wanted) <= 1e-8  # the cache is f16


def test_logits_are_equal_to_the_bit_token_by_token_in_pieces_and_beside_another_sequence(model: Model) -> None:
    wanted, context = whole(model), model.context(512)
    got = [context.eval(TOKENS[i : i + n], "all") for i, n in ((0, 7), (7, 33), (40, 1), (41, 19))]
    assert np.array_equal(np.concatenate(got), wanted)
    one, other = model.context(512), model.context(512)
    one.eval(TOKENS[:-2])
    other.eval(TOKENS[:3])
    together = BatchDecoder()
    got = [together.eval([one, other], [[token], [5]])[0] for token in TOKENS[-2:]]
    assert np.array_equal(got, wanted[-2:])


def test_a_fork_goes_its_own_way(model: Model) -> None:
    context = model.context(512)
    context.eval(TOKENS[:40])
    fork = context.fork()
    context.eval([1, 2, 3])
    assert np.array_equal(fork.eval(TOKENS[40:], "all"), whole(model)[40:])


def test_it_goes_back_to_checkpoints_and_to_the_beginning_and_nowhere_else(model: Model) -> None:
    context = model.context(512)
    context.eval(TOKENS[:20])
    context.checkpoint()
    context.eval(TOKENS[20:30])
    assert [context.reachable(n) for n in (30, 29, 20, 19)] == [30, 20, 20, 0]
    with pytest.raises(UsageError, match="state after them is not kept"):
        context.truncate(25)
    assert context.rewind(25) == 20
    assert np.array_equal(context.eval(TOKENS[20:], "all"), whole(model)[20:])
    assert context.rewind(10) == 0
    assert np.array_equal(context.eval(TOKENS, "all"), whole(model))


def test_it_cannot_be_shifted(model: Model) -> None:
    context = model.context(512)
    context.eval(TOKENS)
    with pytest.raises(UsageError, match="cannot be shifted: its state cannot be moved"):
        context.remove(1, 5)
    assert context.n_past == len(TOKENS)


def test_what_was_computed_can_be_kept_and_taken_over(model: Model) -> None:
    context, other = model.context(512), model.context(512)
    context.eval(TOKENS[:40])
    memory = context.memory(40).copy()
    with pytest.raises(UsageError, match="the model's state is that after 40"):
        context.memory(39)
    other.restore(TOKENS[:40], lambda room: np.copyto(room, memory))
    assert np.array_equal(other.eval(TOKENS[40:], "all"), whole(model)[40:])


def test_nothing_is_left_of_what_could_not_be_restored(model: Model) -> None:
    context, other = model.context(512), model.context(512)
    context.eval(TOKENS[:40])
    memory = context.memory(40).copy()

    def fail(room: np.ndarray) -> None:
        np.copyto(room, memory)
        raise OSError("the file ends here")

    with pytest.raises(OSError, match="ends here"):
        other.restore(TOKENS[:40], fail)
    assert other.tokens == []
    assert np.array_equal(other.eval(TOKENS, "all"), whole(model))


class WrongHalf:
    """Guesses of which the first is right and the second is wrong."""

    def __init__(self, text: list[int]) -> None:
        self._text = text

    def propose(self, tokens: Any, most: int) -> list[int]:
        right = self._text[len(tokens) : len(tokens) + 1]
        return [*right, 0, 1][:most] if right else []


class Numbers:
    """A vocabulary whose tokens print nothing that ends an answer."""

    n_vocab = N_VOCAB
    eog = frozenset[int]()
    add_bos = False

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        return b"."

    def encode(self, text: str, add_special: bool = True) -> list[int]:
        return []


def answer(context: Context, speculation: Speculation | None = None) -> list[int]:
    options = GenerationOptions(max_tokens=24, sampling=SamplingOptions(temp=1.0, seed=7))
    events = generate(context, Numbers(), TOKENS[:20], options, None, speculation)
    return [event.id for event in events if isinstance(event, Token)]


def test_guesses_that_are_wrong_leave_the_state_as_if_they_had_never_been(model: Model) -> None:
    wanted, context = answer(model.context(512)), model.context(512)
    found = answer(context, Speculation(WrongHalf([*TOKENS[:20], *wanted])))
    assert found == wanted
    assert len(set(wanted)) > 3
    assert context.tokens == [*TOKENS[:20], *wanted[:-1]]


def test_a_step_that_is_closed_early_adds_no_token_twice(model: Model) -> None:
    """Neither do those whose next step fails together, after which each is evaluated again from its checkpoint."""
    options = GenerationOptions(max_tokens=12, sampling=SamplingOptions(temp=1.0, seed=7))
    running = Scheduler(ContextPool(lambda: model.context(512), 3), Numbers())
    jobs = [running.add(Request(TOKENS[i : 20 + i], options)) for i in range(3)]
    found: dict[Job, list[int]] = {job: [] for job in jobs}
    batch = running._decoder._batch
    run = batch.eval

    def failing(*_: Any) -> np.ndarray:
        batch.eval = run  # type: ignore[method-assign]
        raise OSError("not now")

    cancelled = False
    while not running.idle:
        for job, event in running.step():
            if isinstance(event, Token):
                found[job].append(event.id)
            if job is jobs[2] and len(found[job]) == 5 and not cancelled:
                job.cancel()  # it has chosen; when the step comes to it, the others have added their tokens
                cancelled = True
            if isinstance(event, Stop) and job is jobs[2]:
                batch.eval = failing  # type: ignore[method-assign]
                break
    assert batch.eval is not failing
    for i, job in enumerate(jobs[:2]):
        events = generate(model.context(512), Numbers(), TOKENS[i : 20 + i], options)
        assert found[job] == [event.id for event in events if isinstance(event, Token)]


def test_another_answer_to_a_prompt_evaluates_its_last_token_alone(model: Model) -> None:
    context = model.context(512)
    wanted, evaluated, run = answer(context), [], context.eval

    def counted(tokens: Any, *rest: Any, **more: Any) -> np.ndarray:
        evaluated.append(len(tokens))
        return run(tokens, *rest, **more)

    context.eval = counted  # type: ignore[method-assign]
    assert answer(context) == wanted
    assert evaluated[0] == 1


def test_what_was_cancelled_leaves_a_place_that_is_known(model: Model) -> None:
    context = model.context(512)
    context.eval(TOKENS[:20])
    context.checkpoint()
    context.eval(TOKENS[20:30])
    context.cancel()
    with pytest.raises(Cancelled):
        context.eval(TOKENS[30:])
    assert context.tokens == TOKENS[:20]
    assert np.array_equal(context.eval(TOKENS[20:], "all"), whole(model)[20:])


def test_an_answer_ends_where_a_context_that_cannot_be_shifted_is_full(model: Model) -> None:
    options = GenerationOptions(max_tokens=100, n_keep=1, sampling=SamplingOptions(temp=1.0, seed=7))
    events = list(generate(model.context(40), Numbers(), TOKENS[:20], options))
    assert isinstance(events[-1], Stop)
    assert events[-1].reason == "context"
    assert len(events) == 22
