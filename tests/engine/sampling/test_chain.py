"""The whole chain: distribution, seeds, greedy choices, log-probabilities."""

import numpy as np
import pytest
from letters import Letters

from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.sampling.chain import Choice, Sampler, build_chain
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.engine.sampling.penalties import Penalties
from llamachat.engine.sampling.stage import Stage
from llamachat.engine.sampling.temperature import Greedy
from llamachat.errors import LlamaChatError, UsageError

OPEN = {"temp": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0}
"""Settings under which nothing is changed."""


def sampler(n_vocab: int = 5, **settings: object) -> Sampler:
    return Sampler(SamplingOptions(**{"seed": 11, **settings}), Letters(n_vocab))  # type: ignore[arg-type]


def logits_of(*probabilities: float) -> np.ndarray:
    return np.log(np.array(probabilities)).astype(np.float32)


# chi-square quantile 0.999 for as many degrees of freedom as the index
CHI2_999 = [0, 10.83, 13.82, 16.27, 18.47]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({}, [0.1, 0.4, 0.2, 0.05, 0.25], id="unchanged"),
        pytest.param({"temp": 0.5}, [0.01, 0.16, 0.04, 0.0025, 0.0625], id="squares at temperature 0.5"),
        pytest.param({"temp": 2.0}, np.sqrt([0.1, 0.4, 0.2, 0.05, 0.25]).tolist(), id="roots at temperature 2"),
        pytest.param({"top_k": 2}, [0, 0.4, 0, 0, 0.25], id="top 2"),
        pytest.param({"top_p": 0.8}, [0, 0.4, 0.2, 0, 0.25], id="top 0.8"),
        pytest.param({"min_p": 0.2}, [0.1, 0.4, 0.2, 0, 0.25], id="min 0.2"),
        pytest.param({"typical": 0.4}, [0, 0, 0.2, 0, 0.25], id="typical: surprise nearest the entropy of 1.42"),
        pytest.param({"top_nsigma": 1.0}, [0, 0.4, 0.2, 0, 0.25], id="within one standard deviation of 0.705"),
        pytest.param({"xtc_probability": 1, "xtc_threshold": 0.19}, [0.1, 0, 0.2, 0.05, 0], id="without top choices"),
        pytest.param({"logit_bias": ("1-inf", "0+0.6931472")}, [0.2, 0, 0.2, 0.05, 0.25], id="banned, and doubled"),
        pytest.param({"top_k": 3, "top_p": 0.7}, [0, 0.4, 0, 0, 0.25], id="top p counts what top k left: 65 / 85"),
    ],
)
def test_the_draw_has_the_distribution_that_the_settings_say(settings: dict[str, float], expected: list[float]) -> None:
    draws = 5000
    chosen = sampler(**{**OPEN, **settings})
    logits = logits_of(0.1, 0.4, 0.2, 0.05, 0.25)
    counts = np.bincount([chosen.sample(logits).token for _ in range(draws)], minlength=5)
    wanted = np.array(expected) / np.sum(expected) * draws
    possible = wanted > 0
    assert counts[~possible].sum() == 0
    chi2 = np.sum((counts[possible] - wanted[possible]) ** 2 / wanted[possible])
    assert chi2 < CHI2_999[np.count_nonzero(possible) - 1]


def test_the_same_seed_gives_the_same_tokens_and_another_one_others() -> None:
    logits = np.zeros(1000, dtype=np.float32)
    draws = {
        seed: [one.sample(logits).token for _ in range(20)] for seed in (1, 2) for one in [sampler(1000, seed=seed)]
    }
    again = sampler(1000, seed=1)
    assert [again.sample(logits).token for _ in range(20)] == draws[1] != draws[2]


def test_a_seed_left_to_chance_can_be_read_and_used_again() -> None:
    logits = np.zeros(1000, dtype=np.float32)
    first = sampler(1000, seed=-1)
    second = sampler(1000, seed=first.seed)
    assert [first.sample(logits) for _ in range(9)] == [second.sample(logits) for _ in range(9)]


def test_temperature_zero_takes_the_largest_and_of_equals_the_lowest_id() -> None:
    assert [sampler(temp=0).sample(np.array([1, 7, 3, 7, 0], dtype=np.float32)).token for _ in range(3)] == [1, 1, 1]


def test_a_greedy_chain_leaves_out_what_cannot_change_it() -> None:
    stages = build_chain(SamplingOptions(temp=0, repeat_penalty=1.5), Letters(100))
    assert [type(stage) for stage in stages] == [Penalties, Greedy]


def test_a_greedy_choice_obeys_the_penalties() -> None:
    chosen = sampler(temp=0, presence_penalty=5)
    logits = np.array([1, 7, 3, 6, 0], dtype=np.float32)
    chosen.accept(1)
    assert chosen.sample(logits).token == 3


def test_sampling_does_not_accept_by_itself() -> None:
    chosen = sampler(temp=0, presence_penalty=5)
    logits = np.array([1, 7, 3, 6, 0], dtype=np.float32)
    assert [chosen.sample(logits).token for _ in range(2)] == [1, 1]


def test_the_order_of_the_samplers_can_be_chosen() -> None:
    logits = np.array([5, 4, 0, 0, 0], dtype=np.float32)
    settings = {"temp": 0, "top_k": 1, "presence_penalty": 3}
    first = sampler(**settings)
    last = sampler(**settings, samplers=("top_k", "penalties", "temperature"))
    for one in (first, last):
        one.accept(0)
    assert (first.sample(logits).token, last.sample(logits).token) == (1, 0)


def test_the_logits_are_left_as_they_were() -> None:
    logits = np.arange(5, dtype=np.float32)
    chosen = sampler(repeat_penalty=2, temp=0.1)
    chosen.accept(4)
    chosen.sample(logits)
    np.testing.assert_array_equal(logits, [0, 1, 2, 3, 4])


def test_log_probabilities_are_of_the_models_own_distribution() -> None:
    choice = sampler(temp=0.1, top_k=1, logprobs=0).sample(logits_of(0.1, 0.4, 0.2, 0.05, 0.25))
    assert choice.logprob == pytest.approx(np.log(0.4), abs=1e-6)


def test_log_probabilities_are_not_computed_unless_asked_for() -> None:
    assert sampler().sample(np.zeros(5, dtype=np.float32)).logprob is None


@pytest.mark.parametrize(
    ("logits", "token", "logprob"),
    [
        pytest.param([np.nan, 0, -np.inf, np.nan, -np.inf], 1, 0.0, id="NaN counts as impossible"),
        pytest.param([0, 9, np.inf, -np.inf, 1], 2, 0.0, id="infinity excludes all others"),
    ],
)
@pytest.mark.parametrize("settings", [{}, OPEN, {"temp": 0}, {"presence_penalty": 1}])
def test_strange_logits_give_the_usable_token(
    logits: list[float], token: int, logprob: float, settings: dict[str, float]
) -> None:
    chosen = sampler(**settings, logprobs=0)
    chosen.accept(0)
    choice = chosen.sample(np.array(logits, dtype=np.float32))
    assert (choice.token, choice.logprob) == (token, logprob)


def test_a_ban_holds_for_an_infinite_logit_too() -> None:
    logits = np.array([np.inf, 0, np.inf], dtype=np.float32)
    assert sampler(3, logit_bias="0-inf", logprobs=0).sample(logits) == Choice(2, pytest.approx(-np.log(2)))
    assert sampler(3, logit_bias="0-inf,2-inf").sample(logits).token == 1


def test_when_everything_is_banned_that_is_said() -> None:
    with pytest.raises(LlamaChatError, match="made impossible"):
        sampler(3, logit_bias="0-inf").sample(np.array([0, -np.inf, np.nan], dtype=np.float32))


def test_infinite_logits_share_the_alternatives_among_themselves() -> None:
    choice = sampler(4, logprobs=2).sample(np.array([0, np.inf, np.nan, np.inf], dtype=np.float32))
    assert choice.top == ((1, pytest.approx(-np.log(2))), (3, pytest.approx(-np.log(2))))


@pytest.mark.parametrize("samplers", ["top_k", "penalties;top_p", ""])
def test_mirostat_obeys_the_temperature_whatever_the_order_says(samplers: str) -> None:
    chosen = sampler(mirostat=2, temp=0, samplers=samplers)
    logits = np.array([1, 1.1, 1.05, 1, 1], dtype=np.float32)
    assert {chosen.sample(logits).token for _ in range(20)} == {1}


def test_a_draw_of_thousands_of_words_has_their_distribution() -> None:
    """3,000 words in 30 groups of rising weight: chi-square of the groups, 29 degrees of freedom, quantile 0.999."""
    weights = np.repeat(np.arange(1, 31), 100) / 46_500
    chosen, logits = sampler(3000, **OPEN), np.log(weights).astype(np.float32)
    counts = np.bincount([chosen.sample(logits).token // 100 for _ in range(6000)], minlength=30)
    wanted = np.arange(1, 31) / 465 * 6000
    assert np.sum((counts - wanted) ** 2 / wanted) < 58.3


def test_logits_of_nan_only_are_an_error() -> None:
    with pytest.raises(LlamaChatError, match="NaN"):
        sampler().sample(np.full(5, np.nan, dtype=np.float32))


def test_logits_of_another_size_are_refused_with_both() -> None:
    with pytest.raises(UsageError, match=r"5 logits, not for an array of shape \(4,\)"):
        sampler().sample(np.zeros(4, dtype=np.float32))


def test_logits_beyond_the_vocabulary_never_count() -> None:
    logits = np.array([0, 1, 0, 0, 0, 99, np.inf], dtype=np.float32)
    choice = sampler(temp=0, logprobs=7).sample(logits)
    assert (choice.token, len(choice.top)) == (1, 5)


def test_alternatives_are_the_likeliest_with_their_log_probabilities() -> None:
    choice = sampler(logprobs=3, seed=2).sample(logits_of(0.1, 0.4, 0.2, 0.05, 0.25))
    assert [token for token, _ in choice.top] == [1, 4, 2]
    np.testing.assert_allclose(np.exp([share for _, share in choice.top]), [0.4, 0.25, 0.2], rtol=1e-5)


class Only(Stage):
    """A constraint that admits one token."""

    def apply(self, candidates: Candidates) -> None:
        candidates.keep(np.array([3]), best_first=False)


def test_a_constraint_comes_before_the_samplers() -> None:
    chosen = Sampler(SamplingOptions(top_k=1), Letters(5), Only())
    assert chosen.sample(logits_of(0.1, 0.4, 0.2, 0.05, 0.25)).token == 3
