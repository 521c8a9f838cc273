"""Guessing with real contexts: the text is what it would be without, whoever guesses."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamachat.engine.context import Context
from llamachat.engine.generate import Event, GenerationOptions, Speculation, Stop, Token, generate
from llamachat.engine.model import Model
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.speculation.draft import DraftModel, check_vocabularies
from llamachat.engine.speculation.lookup import Lookup
from llamachat.engine.speculation.proposer import Proposer
from llamachat.engine.tokenizers import Tokenizer
from llamachat.errors import UsageError

PROMPT = [1, 5, 9, 5, 9, 5, 9, 30, 5]


class Numbers:
    """As many tokens as the golden models have; none ends a text."""

    eog: frozenset[int] = frozenset()
    add_bos = False

    def __init__(self, n_vocab: int) -> None:
        self.n_vocab = n_vocab

    def piece_bytes(self, token: int) -> bytes:
        return f"{token} ".encode()

    def encode(self, text: str, add_special: bool = True) -> list[int]:
        return []


@pytest.fixture(scope="module")
def model(golden: Path) -> Iterator[Model]:
    with Model(golden / "archs" / "llama.gguf", 2) as model:
        yield model


@pytest.fixture(scope="module")
def other(golden: Path) -> Iterator[Model]:
    with Model(golden / "archs" / "llama-tied.gguf", 2) as model:
        yield model


def run(context: Context, speculation: Speculation | None, **settings: Any) -> list[Event]:
    options = GenerationOptions(max_tokens=60, sampling=SamplingOptions(**{"temp": 0, **settings}), n_keep=2)
    return list(generate(context, Numbers(context.n_vocab), PROMPT, options, speculation=speculation))


@pytest.mark.parametrize("settings", [{}, {"temp": 1.5, "seed": 4, "top_k": 0}, {"temp": 0, "repeat_penalty": 1.3}])
@pytest.mark.parametrize("n_ctx", [100, 40])
def test_guesses_change_no_token(model: Model, other: Model, settings: dict[str, Any], n_ctx: int) -> None:
    plain = model.context(n_ctx)
    expected = run(plain, None, **settings)
    proposers: list[Proposer] = [
        Lookup(),
        DraftModel(model.context(200), 80),
        DraftModel(other.context(200), 80, p_min=0.01),
    ]
    for proposer in proposers:
        context = model.context(n_ctx)
        assert run(context, Speculation(proposer, 5), **settings) == expected
        assert context.tokens == plain.tokens
        np.testing.assert_array_equal(context.eval([3]), plain.fork().eval([3]))


class Wrong:
    """Guesses that are hardly ever right."""

    def propose(self, tokens: Sequence[int], most: int) -> Sequence[int]:
        return [(7 * len(tokens) + 3 * n) % 80 for n in range(most)]


@pytest.mark.parametrize("settings", [{}, {"temp": 1.5, "seed": 4, "top_k": 0}])
@pytest.mark.parametrize("sizes", [(2, 8), (4, 16), (3, 12)])
def test_guesses_change_no_token_where_positions_are_shared(
    model: Model, settings: dict[str, Any], sizes: tuple[int, int]
) -> None:
    expected = run(model.context(100, self_extend=sizes), None, **settings)
    for proposer in (Wrong(), Lookup(), DraftModel(model.context(200), 80)):
        assert run(model.context(100, self_extend=sizes), Speculation(proposer, 5), **settings) == expected


def test_a_draft_says_nothing_of_tokens_that_it_does_not_have(model: Model) -> None:
    draft = DraftModel(model.context(100), 200)
    assert draft.propose([1, model.n_vocab], 3) == ()
    assert draft.propose([1, 5], 3)


def test_a_draft_that_is_the_model_is_always_right(model: Model) -> None:
    stop = run(model.context(100), Speculation(DraftModel(model.context(100), 80), 5))[-1]
    assert isinstance(stop, Stop)
    assert stop.timings.n_drafted == stop.timings.n_accepted > 40


def test_a_draft_that_is_not_sure_guesses_nothing(model: Model) -> None:
    stop = run(model.context(100), Speculation(DraftModel(model.context(100), 80, p_min=1.0), 5))[-1]
    assert isinstance(stop, Stop)
    assert stop.timings.n_drafted == 0
    guesses = DraftModel(model.context(100), 80, least=4).propose(PROMPT, 3)
    assert list(guesses) == []


def test_a_draft_with_a_smaller_context_just_stops_guessing(model: Model) -> None:
    events = run(model.context(100), Speculation(DraftModel(model.context(12), 80), 5))
    assert sum(isinstance(event, Token) for event in events) == 60


@pytest.mark.real
def test_a_draft_needs_the_same_vocabulary(smollm2: Path, gemma3: Path) -> None:
    target = Tokenizer(smollm2)
    check_vocabularies(target, Tokenizer(smollm2))
    with pytest.raises(UsageError, match="262144 tokens and the model 49152"):
        check_vocabularies(target, Tokenizer(gemma3))
