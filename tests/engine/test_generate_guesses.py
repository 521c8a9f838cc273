"""Speculative decoding against a context with scripted logits: draft tokens change the number of steps alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from scripted_context import EOS, GREEDY, Scripted, Words, run

from llamachat.engine.generate import (
    GenerationOptions,
    Speculation,
    Stop,
    generate,
)


@dataclass
class Oracle:
    """Guesses the script, wrong at some places."""

    script: Sequence[int]
    wrong: frozenset[int] = frozenset()
    asked: list[int] = field(default_factory=list)

    def propose(self, tokens: Sequence[int], most: int) -> list[int]:
        self.asked.append(most)
        places = range(len(tokens), len(tokens) + most)
        return [9 if place in self.wrong else self.script[min(place, len(self.script)) - 1] for place in places]


LONG = [*([0, 1, 2] * 10), EOS]


@pytest.mark.parametrize("wrong", [frozenset(), frozenset({3}), frozenset({4, 9, 10}), frozenset(range(99))])
@pytest.mark.parametrize("options", [{}, {"max_tokens": 7}, {"stop": ("cab",)}, {"n_keep": 0}])
@pytest.mark.parametrize("n_ctx", [64, 12])
def test_guesses_change_nothing_but_the_number_of_steps(
    wrong: frozenset[int], options: dict[str, object], n_ctx: int
) -> None:
    plain, guessed = Scripted(LONG, n_ctx=n_ctx), Scripted(LONG, n_ctx=n_ctx)
    expected = run(plain, [9], **options)
    settings = GenerationOptions(sampling=GREEDY, **options)  # type: ignore[arg-type]
    found = list(generate(guessed, Words(), [9], settings, speculation=Speculation(Oracle(LONG, wrong), 4)))
    assert found == expected
    assert guessed.tokens == plain.tokens


def test_guesses_are_counted() -> None:
    context = Scripted(LONG)
    oracle = Oracle(LONG, frozenset({3}))
    options = GenerationOptions(sampling=GREEDY, max_tokens=8)
    *_, stop = generate(context, Words(), [9], options, speculation=Speculation(oracle, 4))
    assert isinstance(stop, Stop)
    # Of 2 .. 5 the third is wrong; then, from 4 on, all four are right.
    assert (stop.timings.n_accepted, stop.timings.n_drafted) == (5, 8)
    assert max(oracle.asked) == 4


def test_a_cancelled_step_leaves_no_guesses_behind() -> None:
    context = Scripted(LONG, cancel_at=4)
    options = GenerationOptions(sampling=GREEDY)
    *_, stop = generate(context, Words(), [9], options, speculation=Speculation(Oracle(LONG), 4))
    assert stop == Stop("", "cancelled")
    assert context.tokens == [9, 0]


def test_closing_the_iterator_early_leaves_no_guesses_behind() -> None:
    context = Scripted(LONG)
    events = generate(context, Words(), [9], GenerationOptions(sampling=GREEDY), speculation=Speculation(Oracle(LONG)))
    assert [next(events).text, next(events).text] == ["a", "b"]
    events.close()  # type: ignore[attr-defined]
    assert context.tokens == [9, 0]
