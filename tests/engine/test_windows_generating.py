"""Answers, requests and drafts in contexts whose layers with a window have lost their first tokens."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from context_operations import HalfRight
from windowed import N_VOCAB, TOKENS, another, pair, windowed_gguf

from llamachat.dialogue.kept_prompt import PromptKeeper
from llamachat.engine.context import Context
from llamachat.engine.events import Stop, Timings, Token
from llamachat.engine.generate import GenerationOptions, Speculation, generate
from llamachat.engine.generation_context import GenerationContext
from llamachat.engine.model import Model
from llamachat.engine.pool import ContextPool
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.scheduler import Job, Request, Scheduler
from llamachat.errors import ContextFull

WINDOW, N_CTX = 40, 1100


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    with Model(windowed_gguf(tmp_path_factory.mktemp("windows") / "model.gguf", WINDOW), 2) as loaded:
        yield loaded


class Numbers:
    """A vocabulary whose tokens print something that ends no answer."""

    n_vocab, eog, add_bos = N_VOCAB, frozenset[int](), False

    def piece_bytes(self, token: int, special: bool = False) -> bytes:
        return b"."

    def encode(self, text: str, add_special: bool = True) -> list[int]:
        return []


def options(n: int, seed: int = 7, n_keep: int | None = None) -> GenerationOptions:
    return GenerationOptions(max_tokens=n, sampling=SamplingOptions(temp=1.0, seed=seed), n_keep=n_keep)


def answer(
    context: Context, prompt: Sequence[int], of: GenerationOptions, drafts: Speculation | None = None
) -> list[int]:
    return [e.id for e in generate(context, Numbers(), prompt, of, None, drafts) if isinstance(e, Token)]


def test_an_answer_after_an_answer_and_again(model: Model) -> None:
    """As a chat goes on: a turn, its regeneration, the next turn, an older prompt."""
    found = []
    for context in pair(model, N_CTX):
        prompt = TOKENS[:900]
        first = answer(context, prompt, options(30))
        again = answer(context, prompt, options(30, seed=8))
        following = answer(context, [*prompt, *again, 1, 2], options(30))
        found.append((first, again, following, answer(context, TOKENS[:300], options(5))))
    assert found[0] == found[1]
    assert len(set(found[0][0])) > 3


def test_draft_tokens_that_are_wrong_leave_nothing_behind(model: Model) -> None:
    context, whole = pair(model, N_CTX)
    prompt = TOKENS[:1000]
    wanted = answer(whole, prompt, options(40))
    assert answer(context, prompt, options(40), Speculation(HalfRight([*prompt, *wanted]))) == wanted


@pytest.mark.parametrize("n_keep", [1, 500])
def test_a_full_context_is_shifted_to_the_same_answer(model: Model, n_keep: int) -> None:
    ring, whole = (answer(one, TOKENS[:1000], options(130, n_keep=n_keep)) for one in pair(model, N_CTX))
    assert len(ring) == 130
    assert ring == whole


def test_what_cannot_be_moved_is_evaluated_again(tmp_path: Path) -> None:
    """A window so long that the token after a shift would see tokens before the removed ones, and rings lost them."""
    n_ctx, n_keep = 1600, 300
    with Model(windowed_gguf(tmp_path / "model.gguf", 700), 2, n_ctx=n_ctx) as model:
        context, fresh = pair(model, n_ctx)
        window = GenerationContext(context, n_keep, Timings())
        window.begin(TOKENS[:n_ctx])
        assert context.shift_refusal(n_keep, 950)
        assert window.can_continue()
        left = TOKENS[:n_keep] + TOKENS[950:n_ctx]
        assert context.tokens == left
        assert context.n_reusable == len(left), "it was evaluated again, not moved"
        fresh.eval(left)
        np.testing.assert_array_equal(window.after(5), fresh.eval([5]))


def test_a_prompt_that_fits_only_with_what_rings_have_lost_is_refused_and_nothing_is_forgotten(model: Model) -> None:
    """Too long for the context; of what it holds of it too much is lost to continue there."""
    context, whole = pair(model, N_CTX)
    prompt = [*TOKENS[:300], *TOKENS[1200:2100]]
    for one in (context, whole):
        one.eval(TOKENS[:N_CTX])
    assert (context.reachable(300), whole.reachable(300)) == (0, 300)
    assert len(answer(whole, prompt, options(3, n_keep=5))) == 3
    with pytest.raises(ContextFull, match="the prompt has 1200 tokens, but the context holds 1100"):
        answer(context, prompt, options(3, n_keep=5))
    assert context.tokens == TOKENS[:N_CTX]


def test_requests_that_begin_alike(model: Model) -> None:
    prompts = [TOKENS[:1000], [*TOKENS[:980], 5, 6], TOKENS[:100], [*TOKENS[:1000], 4], TOKENS[:990]]
    wanted = [answer(pair(model, N_CTX)[1], prompt, options(8, seed)) for seed, prompt in enumerate(prompts)]
    shared = pair(model, N_CTX)[0]
    made = iter([shared, *(shared.fork() for _ in range(3))])
    running = Scheduler(ContextPool(lambda: next(made), 2), Numbers(), piece=300)
    found: dict[Job, list[int]] = {}
    reasons = []
    for seed, prompt in enumerate(prompts):
        found[running.add(Request(prompt, options(8, seed)))] = []
    while not running.idle:
        for job, event in running.step():
            if isinstance(event, Token):
                found[job].append(event.id)
            if isinstance(event, Stop):
                reasons.append(event.reason)
    assert list(found.values()) == wanted
    assert reasons == ["length"] * 5


def test_a_prompt_that_rings_have_lost_is_not_kept_and_one_that_they_have_goes_on(model: Model, tmp_path: Path) -> None:
    context, whole = pair(model, N_CTX)
    told: list[str] = []
    keeper = PromptKeeper(tmp_path / "kept", told.append)
    responder: Any = SimpleNamespace(model=model, context=context)
    context.eval(TOKENS[:1000])
    keeper.keep(responder, 100)
    assert told == ["100 tokens cannot be kept: the model's state is that after 1000"]
    assert not (tmp_path / "kept").exists()
    keeper.keep(responder, 900)
    for n_same in (900, 800):
        responder.context = another(context)
        assert keeper.take_over(responder, TOKENS[:n_same]) == TOKENS[:n_same]
        assert responder.context.n_past == n_same
        whole.truncate(0)
        whole.eval(TOKENS[:n_same])
        np.testing.assert_array_equal(responder.context.eval([5]), whole.eval([5]))
    responder.context = another(context)
    keeper.take_over(responder, TOKENS[:200])
    assert responder.context.n_past == 0, "it is evaluated again"
    assert len(told) == 1
