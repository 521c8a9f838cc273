"""DRY against a slow version written from its description, and its sequence breakers."""

import numpy as np
import pytest
from letters import Letters

from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.sampling.dry import Dry, breaker_tokens, repetitions
from llamachat.engine.sampling.options import SamplingOptions


def plain_repetitions(text: list[int]) -> dict[int, int]:
    """For every earlier place, how far the text before it equals the text's end."""
    found: dict[int, int] = {}
    for place in range(1, len(text)):
        n = 0
        while n < place and text[place - 1 - n] == text[-1 - n]:
            n += 1
        if n:
            found[text[place]] = max(n, found.get(text[place], 0))
    return found


@pytest.mark.parametrize("n_letters", [1, 2, 3, 8])
@pytest.mark.parametrize("seed", range(5))
def test_repetitions_are_the_longest_matches_of_the_end(n_letters: int, seed: int) -> None:
    text = np.random.default_rng(seed).integers(0, n_letters, 3 + 20 * seed)
    assert repetitions(text, 10**6) == plain_repetitions(text.tolist())


@pytest.mark.parametrize("limit", [1, 31, 32, 33, 40, 1000])
def test_a_text_that_repeats_itself_again_and_again(limit: int) -> None:
    for text in ([7] * 90, [1, 2, 3] * 40, [5, *[1, 2] * 30, 4, *[1, 2] * 45, 1]):
        expected = {token: min(found, limit) for token, found in plain_repetitions(text).items()}
        assert repetitions(np.array(text), limit) == expected


def test_a_text_without_a_past_repeats_nothing() -> None:
    assert repetitions(np.array([], int), 9) == repetitions(np.array([4]), 9) == {}


def penalties(text: list[int], vocabulary: Letters, **settings: object) -> dict[int, float]:
    """What is subtracted from which token."""
    options = SamplingOptions(**{"dry_multiplier": 1.0, "dry_base": 2.0, **settings})  # type: ignore[arg-type]
    stage = Dry.of(options, vocabulary)
    assert stage is not None
    for token in text:
        stage.accept(token)
    candidates = Candidates(np.arange(vocabulary.n_vocab), np.zeros(vocabulary.n_vocab, np.float32))
    stage.apply(candidates)
    return {i: -float(x) for i, x in zip(candidates.ids, candidates.logits, strict=True) if x}


def test_the_penalty_grows_with_the_repetition() -> None:
    plain = Letters(9)
    assert penalties([1, 2, 5, 1, 2], plain) == {5: 1.0}
    assert penalties([1, 2, 3, 5, 1, 2, 3], plain) == {5: 2.0}
    assert penalties([1, 2, 3, 5, 1, 2, 3], plain, dry_multiplier=0.5, dry_base=3.0) == {5: 1.5}
    assert penalties([1, 2, 5, 1, 2], plain, dry_allowed_length=3) == {}


@pytest.mark.parametrize("seed", range(60))
def test_penalties_are_those_of_a_slow_version(seed: int) -> None:
    """With breakers, a window and an allowed length, text by text."""
    random = np.random.default_rng(seed)
    text = random.integers(0, int(random.integers(2, 6)), int(random.integers(0, 70))).tolist()
    last_n, allowed = int(random.choice([-1, 8, 30])), int(random.integers(1, 4))
    found = penalties(text, Letters(9, ["a", "b", ":"]), dry_penalty_last_n=last_n, dry_allowed_length=allowed)
    recent = text if last_n < 0 else text[-last_n:]
    unbroken = recent[::-1].index(2) if 2 in recent else len(recent)
    lengths = {t: min(n, unbroken) for t, n in plain_repetitions(recent).items() if t != 2} if recent else {}
    assert found == {t: 2.0 ** (n - allowed) for t, n in lengths.items() if n >= allowed and unbroken >= allowed}


def test_the_vocabulary_is_searched_for_breakers_once() -> None:
    class Counting(Letters):
        n_asked = 0

        def piece_bytes(self, token: int) -> bytes:
            self.n_asked += 1
            return super().piece_bytes(token)

    words = Counting(9, ["a", ":"])
    assert breaker_tokens([":"], words) == breaker_tokens([":"], words) == {1: [()]}
    assert words.n_asked == 9


def test_only_the_last_tokens_count() -> None:
    assert penalties([1, 2, 5, 1, 2], Letters(9), dry_penalty_last_n=4) == {}
    assert penalties([7] * 500 + [1, 2, 5, 1, 2], Letters(9), dry_penalty_last_n=-1)[5] == 1.0


def test_an_endless_repetition_has_a_finite_penalty() -> None:
    found = penalties([3] * 5000, Letters(9), dry_penalty_last_n=-1)
    assert np.isfinite(found[3])
    assert found[3] > 1e37


def test_a_repetition_does_not_reach_over_a_breaker() -> None:
    words = Letters(9, ["a", "b", "c", ":"])
    assert penalties([0, 1, 2, 0, 1], words) == {2: 1.0}
    assert penalties([0, 3, 1, 2, 0, 3, 1], words) == {}
    assert penalties([0, 3, 1, 2, 0, 3, 1], words, dry_sequence_breaker=("none",)) == {2: 2.0}


def test_a_breaker_itself_is_not_punished() -> None:
    words = Letters(9, ["a", "b", "c", ":"])
    assert penalties([0, 1, 3, 0, 1], words) == {}


def test_a_breaker_may_span_tokens() -> None:
    words = Letters(9, ["a", "b", "xEN", "D", "EN"])
    assert breaker_tokens(["END"], words) == {2: [(3,)], 4: [(3,)]}
    end = {"dry_sequence_breaker": ("END",)}
    assert penalties([0, 2, 3, 1, 5, 0, 2, 3, 1], words, **end) == {}
    assert penalties([0, 2, 1, 5, 0, 2, 1], words, **end) == {5: 2.0}
