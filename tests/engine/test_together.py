"""Several sequences in one step: forks, and contexts evaluated together, give the bits that they give alone."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from llamachat.engine.backend.cpu.programs import APART
from llamachat.engine.batch_decoder import BatchDecoder
from llamachat.engine.context import Context
from llamachat.engine.model import Model
from llamachat.errors import Cancelled, ContextFull, UsageError

PROMPT = [int(t) for t in np.random.default_rng(3).integers(0, 80, 200)]


@pytest.fixture(scope="module", params=["llama", "gemma3-27b"])
def model(request: pytest.FixtureRequest, golden: Path) -> Iterator[Model]:
    with Model(golden / "archs" / f"{request.param}.gguf", 2) as model:
        yield model


def contexts(model: Model, lengths: list[int]) -> list[Context]:
    """Contexts with so many tokens evaluated; different ones in each."""
    made = [model.context(300) for _ in lengths]
    for i, (context, n) in enumerate(zip(made, lengths, strict=True)):
        context.eval(PROMPT[i : i + n])
    return made


@pytest.mark.parametrize("n", [1, 2, 3, 5, 13, APART + 2])
def test_together_is_as_alone(model: Model, n: int) -> None:
    some = contexts(model, [1 + 17 * i % 150 for i in range(n)])
    forks = [context.fork() for context in some]
    together = BatchDecoder()
    for token in (5, 70):
        tokens = [(token + i) % 80 for i in range(n)]
        found = together.eval(some, [[token] for token in tokens])
        alone = np.stack([fork.eval([t]) for fork, t in zip(forks, tokens, strict=True)])
        np.testing.assert_array_equal(found, alone)
    assert [context.tokens for context in some] == [fork.tokens for fork in forks]


def test_several_tokens_of_several_sequences_are_as_alone(model: Model) -> None:
    lengths = [3, 1, 17, 2, 30, 1, 12, 40]
    some = contexts(model, [1 + 40 * i % 150 for i in range(len(lengths))])
    forks = [context.fork() for context in some]
    tokens = [[(7 * i + t) % 80 for t in range(n)] for i, n in enumerate(lengths)]
    found = BatchDecoder().eval(some, tokens)
    alone = np.concatenate([fork.eval(some, "all") for fork, some in zip(forks, tokens, strict=True)])
    np.testing.assert_array_equal(found, alone)
    np.testing.assert_array_equal(BatchDecoder().eval(some[:2], [[5], [6]])[1], forks[1].eval([6]))


def test_a_fork_goes_its_own_way(model: Model) -> None:
    (first,) = contexts(model, [40])
    fork = first.fork()
    expected = fork.fork().eval([7, 8, 9])
    first.eval([1] * 50)
    np.testing.assert_array_equal(fork.eval([7, 8, 9]), expected)
    assert first.tokens != fork.tokens


def test_all_of_a_full_context_is_copied(model: Model) -> None:
    (first,) = contexts(model, [199])
    np.testing.assert_array_equal(first.fork().eval([4]), first.eval([4]))


def test_what_cannot_be_evaluated_together_is_refused(model: Model) -> None:
    first, second = contexts(model, [3, 4])
    other = model.context(600)
    together = BatchDecoder()
    for some, tokens, why in (
        ([], [], "0 contexts cannot take 0 lists"),
        ([first, second], [[1]], "2 contexts cannot take 1 lists"),
        ([first, other], [[1], [1]], "of one model, one size and one cache type"),
        ([first, first], [[1], [1]], "together with itself"),
        ([first, second], [[1], [10**6]], "token ids must be between"),
        ([first, second], [[1], []], "list of tokens is empty"),
        ([first, second], [[1], [1] * (first.max_apart + 1)], "at most 64 tokens of a context"),
    ):
        with pytest.raises(UsageError, match=why):
            together.eval(some, tokens)
    assert (first.n_past, second.n_past) == (3, 4)


def test_a_full_context_stops_all_before_anything_is_evaluated(model: Model) -> None:
    first, second = contexts(model, [10, 10])
    second.eval([1] * 290)
    with pytest.raises(ContextFull):
        BatchDecoder().eval([first, second], [[1], [1]])
    assert first.n_past == 10


def test_a_cancelled_step_leaves_all_as_they_were(model: Model) -> None:
    some = contexts(model, [10, 12])
    together = BatchDecoder()
    together.cancel()
    with pytest.raises(Cancelled):
        together.eval(some, [[1], [2]])
    assert [context.n_past for context in some] == [10, 12]
    together.cancel()
    together.resume()
    assert together.eval(some, [[1], [2]]).shape == (2, model.n_vocab)
