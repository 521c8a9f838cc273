"""The decode loop against a context with scripted logits: events, endings, and what has been evaluated after each."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from scripted_context import EOS, GREEDY, PIECES, Scripted, Words, run, text

from llamachat.engine.generate import (
    Event,
    GenerationOptions,
    Stop,
    Token,
    common_prefix,
    generate,
)
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import ContextFull, LlamaChatError, UsageError


def test_an_end_token_ends_the_answer_without_an_event_of_its_own() -> None:
    context = Scripted([0, 1, 2, EOS])
    assert run(context, [9]) == [Token("a", 0), Token("b", 1), Token("c", 2), Stop("", "eos")]
    assert context.tokens == [9, 0, 1, 2]


def test_the_limit_of_tokens_ends_the_answer_and_the_last_one_is_not_evaluated() -> None:
    context = Scripted([0, 1, 2, 0])
    assert run(context, [9], max_tokens=2) == [Token("a", 0), Token("b", 1), Stop("", "length")]
    assert context.tokens == [9, 0]


def test_no_tokens_wanted_evaluates_the_prompt_only() -> None:
    context = Scripted([0])
    assert run(context, [9, 9], max_tokens=0) == [Stop("", "length")]
    assert context.tokens == [9, 9]


def test_a_full_context_ends_the_answer_after_one_more_token() -> None:
    context = Scripted([0] * 9, n_ctx=3)
    assert run(context, [9, 9]) == [Token("a", 0), Token("a", 0), Stop("", "context")]
    assert context.tokens == [9, 9, 0]


def test_a_prompt_that_just_fits_gives_one_token() -> None:
    assert run(Scripted([0] * 9, n_ctx=2), [9, 9]) == [Token("a", 0), Stop("", "context")]


def test_a_stop_string_over_two_tokens_is_held_back_and_not_part_of_the_text() -> None:
    context = Scripted([0, 6, 7, 1])
    assert run(context, [9], stop=("END",)) == [Token("a", 0), Token("", 6), Token("", 7), Stop("", "stop")]
    assert context.tokens == [9, 0, 6]


def test_held_back_text_is_set_free_by_the_end() -> None:
    assert run(Scripted([0, 6, EOS]), [9], stop=("END",)) == [Token("a", 0), Token("", 6), Stop("EN", "eos")]


def test_a_character_over_two_tokens_comes_with_the_second() -> None:
    assert run(Scripted([4, 5, EOS]), [9]) == [Token("", 4), Token("😀", 5), Stop("", "eos")]


def test_half_a_character_at_the_end_becomes_a_replacement_character() -> None:
    assert run(Scripted([4, EOS]), [9])[-1] == Stop("�", "eos")


def test_cancelling_sets_held_back_text_free_and_keeps_what_was_evaluated() -> None:
    context = Scripted([0, 6, 1], cancel_at=2)
    assert run(context, [9], stop=("END",)) == [Token("a", 0), Token("", 6), Stop("EN", "cancelled")]
    assert context.tokens == [9, 0]


def test_cancelling_the_prompt_keeps_the_part_that_was_evaluated() -> None:
    context = Scripted([0], cancel_at=2)
    assert run(context, [9, 9, 9]) == [Stop("", "cancelled")]
    assert context.tokens == [9, 9]


def test_closing_the_iterator_early_leaves_a_context_that_goes_on() -> None:
    context = Scripted([0, 1, 2, 0, 1, 2, EOS])
    events = generate(context, Words(), [9], GenerationOptions(sampling=GREEDY))
    assert isinstance(events, Iterator)
    assert [next(events).text, next(events).text] == ["a", "b"]
    events.close()  # type: ignore[attr-defined]
    assert context.tokens == [9, 0]
    assert text(run(context, [9, 0, 1])) == "cabc"


@pytest.mark.parametrize(
    ("held", "prompt", "evaluated"),
    [
        pytest.param([], [1, 2, 3], [1, 2, 3], id="nothing held"),
        pytest.param([1, 2], [1, 2, 3], [3], id="the prompt goes on"),
        pytest.param([1, 2, 3], [1, 2, 3], [3], id="the same prompt: its last token again"),
        pytest.param([1, 2, 3, 0, 0], [1, 2, 3], [3], id="the prompt is shorter"),
        pytest.param([1, 0, 3], [1, 2, 3], [2, 3], id="they part after one token"),
        pytest.param([0, 2, 3], [1, 2, 3], [1, 2, 3], id="they part at once"),
    ],
)
def test_only_what_the_context_does_not_hold_is_evaluated(
    held: list[int], prompt: list[int], evaluated: list[int]
) -> None:
    context = Scripted([EOS] * 9, tokens=list(held))
    run(context, prompt)
    assert context.evaluated == evaluated
    assert context.tokens == prompt


def test_the_second_turn_of_a_chat_evaluates_only_what_is_new() -> None:
    context = Scripted([9, 9, 0, 1, EOS, 9, 9, 2, EOS])
    assert text(run(context, [9, 9, 9])) == "ab"
    context.evaluated.clear()
    assert text(run(context, [9, 9, 9, 0, 1, EOS, 9, 9])) == "c"
    assert context.evaluated == [EOS, 9, 9, 2]


def test_progress_counts_the_tokens_of_this_evaluation() -> None:
    seen: list[tuple[int, int]] = []
    context = Scripted([EOS] * 9, tokens=[1])
    list(generate(context, Words(), [1, 2, 3], progress=lambda done, total: seen.append((done, total))))
    assert seen == [(1, 2), (2, 2)]


def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers_before_anything_is_evaluated() -> None:
    context = Scripted([0], n_ctx=3, tokens=[7])
    with pytest.raises(ContextFull, match=r"4 tokens.*holds 3"):
        generate(context, Words(), [1, 2, 3, 4])
    assert (context.tokens, context.evaluated) == ([7], [])


@pytest.mark.parametrize(
    ("prompt", "stop", "told"),
    [
        pytest.param([9, 6, 7], (), [Token("EN", 6), Token("D!", 7), Token("a", 0), Stop("", "length")], id="goes on"),
        pytest.param([9, 6, 7], ("END",), [Token("", 6), Token("", 7), Stop("", "stop")], id="stops within"),
        pytest.param([9, 4, 5], (), [Token("", 4), Token("\U0001f600", 5), Token("a", 0)], id="bytes"),
        pytest.param([9, 1, EOS, 2], (), [Token("b", 1), Stop("", "eos")], id="ends"),
    ],
)
def test_what_an_answer_begins_with_is_part_of_it(prompt: list[int], stop: tuple[str, ...], told: list[Event]) -> None:
    options = GenerationOptions(max_tokens=1, sampling=GREEDY, stop=stop)
    events = list(generate(Scripted([0] * 9), Words(), prompt, options, n_begun=len(prompt) - 1))
    assert events[: len(told)] == told
    assert isinstance(events[-1], Stop)
    assert events[-1].timings.n_generated == sum(isinstance(e, Token) and e.id == 0 for e in events[len(prompt) - 1 :])


def test_an_answer_cannot_begin_with_the_whole_prompt() -> None:
    with pytest.raises(UsageError, match="n_begun must be from 0 to 1"):
        generate(Scripted([0]), Words(), [1, 2], n_begun=2)


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(UsageError, match="empty"):
        generate(Scripted([0]), Words(), [])


@pytest.mark.parametrize("max_tokens", [-3, 1.5, True, None])
def test_a_senseless_limit_is_refused_by_name(max_tokens: object) -> None:
    with pytest.raises(UsageError, match="max_tokens"):
        GenerationOptions(max_tokens=max_tokens)  # type: ignore[arg-type]


def test_an_empty_stop_string_is_refused() -> None:
    with pytest.raises(UsageError, match="stop string"):
        GenerationOptions(stop=("",))


def test_the_prompt_counts_for_the_penalties() -> None:
    context = Scripted([0] * 9)
    events = run(context, [0, 9], max_tokens=1, sampling=SamplingOptions(temp=0, presence_penalty=20))
    assert events[0] == Token("b", 1)


def test_the_same_seed_gives_the_same_tokens() -> None:
    flat = SamplingOptions(temp=10, top_k=0, top_p=1, min_p=0, seed=5)
    first, second = (run(Scripted([0] * 9), [9], max_tokens=30, sampling=flat) for _ in range(2))
    assert first == second
    assert len({event.id for event in first if isinstance(event, Token)}) > 3


def test_log_probabilities_come_when_asked_for() -> None:
    event = run(Scripted([0]), [9], max_tokens=1, sampling=SamplingOptions(temp=0, logprobs=0))[0]
    assert isinstance(event, Token)
    assert event.logprob == pytest.approx(9 - np.log(np.exp(9) + len(PIECES) - 1), abs=1e-6)


def test_unusable_logits_end_in_a_clear_error_and_a_valid_context() -> None:
    class Broken(Scripted):
        def eval(self, tokens: Sequence[int], *args: object, **kwargs: object) -> np.ndarray:
            return super().eval(tokens) * np.float32(np.nan)

    context = Broken([0])
    with pytest.raises(LlamaChatError, match="NaN"):
        run(context, [9, 9])
    assert context.tokens == [9, 9]


@pytest.mark.parametrize(
    ("n_keep", "kept"),
    [
        pytest.param(0, [9, 1, 2, 0, 1, 2], id="the first token always stays"),
        pytest.param(1, [9, 1, 2, 0, 1, 2], id="one token kept"),
        pytest.param(-1, [9, 9, 2, 0, 1, 2], id="the prompt kept"),
        pytest.param(99, [9, 9, 2, 0, 1, 2], id="more than the prompt is the prompt"),
    ],
)
def test_a_full_context_forgets_half_of_what_is_not_kept(n_keep: int, kept: list[int]) -> None:
    context = Scripted([9, 0, 1, 2, 0, 1, 2, EOS], n_ctx=6)
    events = run(context, [9, 9], n_keep=n_keep)
    assert text(events) == "abcabc"
    assert isinstance(events[-1], Stop)
    assert events[-1].reason == "eos"
    assert context.tokens == kept
    assert events[-1].timings.n_forgotten == context.n_removed > 0


def test_without_a_number_of_tokens_to_keep_a_full_context_ends_the_answer() -> None:
    for options in ({}, {"n_keep": 1, "max_tokens": -2}):
        context = Scripted([0] * 20, n_ctx=5)
        assert run(context, [9, 9], **options)[-1] == Stop("", "context")
        assert context.n_removed == 0


def test_an_endless_text_goes_on_in_a_small_context() -> None:
    context = Scripted([0, 1, 2] * 200, n_ctx=7)
    events = run(context, [9], n_keep=0, max_tokens=500)
    assert len(events) == 501
    assert events[-1] == Stop("", "length")
    assert len(context.tokens) <= 7


def test_a_prompt_that_goes_on_in_a_full_context_makes_room() -> None:
    context = Scripted([0] * 30, n_ctx=8, tokens=[9] * 7)
    events = run(context, [9] * 7 + [1, 1], n_keep=2, max_tokens=1)
    assert events[-1] == Stop("", "length")
    assert context.tokens[-2:] == [1, 1]
    assert context.n_removed == 2


def test_what_an_answer_took_is_told_at_its_end() -> None:
    context = Scripted([0, 0, 0, 1, EOS], tokens=[9])
    stop = run(context, [9, 9, 9])[-1]
    assert isinstance(stop, Stop)
    timings = stop.timings
    assert (timings.n_prompt, timings.n_known, timings.n_generated, timings.n_past) == (3, 1, 2, 5)
    assert 0 < timings.sampling_s <= timings.generation_s
    assert timings.prompt_s > 0


def test_what_knows_of_forgotten_tokens_is_not_used_for_another_text() -> None:
    context = Scripted([EOS] * 9, tokens=[1, 2, 3, 4], reusable=2)
    run(context, [1, 2, 3, 9])
    assert context.evaluated == [3, 9]


def test_a_text_that_goes_on_keeps_all_that_its_context_holds() -> None:
    context = Scripted([EOS] * 9, tokens=[1, 2, 3, 4], reusable=2)
    run(context, [1, 2, 3, 4, 9])
    assert context.evaluated == [9]


def test_two_texts_in_one_context_do_not_mix() -> None:
    context = Scripted([0] * 60)
    first, second = (generate(context, Words(), prompt, GenerationOptions(sampling=GREEDY)) for prompt in ([9], [1]))
    next(first)
    assert [next(second).text for _ in range(2)] == ["a", "a"]
    with pytest.raises(UsageError, match="another text has been begun"):
        list(first)
    assert [next(second).text for _ in range(2)] == ["a", "a"]
    assert context.tokens == [1, 0, 0, 0]


def test_the_common_prefix_is_counted() -> None:
    assert [common_prefix([1, 2, 3], other) for other in ([], [1], [1, 2, 4], [1, 2, 3, 4], [2])] == [0, 1, 2, 3, 0]
