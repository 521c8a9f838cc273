"""Each sampler alone, against numbers worked out by hand."""

import numpy as np
import pytest
from letters import Letters

from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.sampling.chain import STAGES
from llamachat.engine.sampling.options import SamplingOptions

HALVES = np.log([0.1, 0.4, 0.2, 0.05, 0.25])
"""Logits of five tokens, whose probabilities are these."""


def left(name: str, logits: object, history: tuple[int, ...] = (), **settings: object) -> dict[int, float]:
    """Which tokens one sampler leaves, and with which logits."""
    values = np.array(logits, dtype=np.float32)
    stage = STAGES[name](SamplingOptions(seed=1, **settings), Letters(values.size))  # type: ignore[arg-type]
    assert stage is not None
    for token in history:
        stage.accept(token)
    candidates = Candidates(np.arange(values.size), values)
    stage.apply(candidates)
    return dict(zip(candidates.ids.tolist(), candidates.logits.tolist(), strict=True))


@pytest.mark.parametrize(
    ("k", "kept"),
    [pytest.param(1, [1], id="one"), pytest.param(3, [1, 4, 2], id="three, largest first")],
)
def test_top_k_keeps_the_k_largest(k: int, kept: list[int]) -> None:
    assert list(left("top_k", HALVES, top_k=k)) == kept


def test_top_k_prefers_the_lowest_id_among_equals() -> None:
    assert list(left("top_k", [1, 2, 1, 1], top_k=2)) == [1, 0]


@pytest.mark.parametrize(
    ("p", "kept"),
    [
        pytest.param(0.0, {1}, id="nothing asked still keeps the likeliest"),
        pytest.param(0.39, {1}, id="below the likeliest"),
        pytest.param(0.41, {1, 4}, id="the one that reaches p is included"),
        pytest.param(0.66, {1, 4, 2}, id="three"),
        pytest.param(0.9999, {0, 1, 2, 3, 4}, id="nearly everything"),
    ],
)
def test_top_p_keeps_tokens_until_their_sum_reaches_p(p: float, kept: set[int]) -> None:
    assert set(left("top_p", HALVES, top_p=p)) == kept


def test_top_p_keeps_the_lowest_ids_among_equals() -> None:
    assert set(left("top_p", [0, 0, 0, 0], top_p=0.5)) == {0, 1}


@pytest.mark.parametrize(
    ("p", "kept"),
    [
        pytest.param(0.2, {0, 1, 2, 4}, id="0.2 * 0.4 = 0.08"),
        pytest.param(0.3, {1, 2, 4}, id="0.3 * 0.4 = 0.12"),
        pytest.param(0.6, {1, 4}, id="0.6 * 0.4 = 0.24"),
        pytest.param(1.0, {1}, id="only the likeliest"),
    ],
)
def test_min_p_keeps_tokens_beside_the_likeliest(p: float, kept: set[int]) -> None:
    assert set(left("min_p", HALVES, min_p=p)) == kept


@pytest.mark.parametrize(
    ("p", "kept"),
    [
        pytest.param(0.24, {4}, id="H = 1.415; -ln p = 2.30 0.92 1.61 3.00 1.39: nearest is 1.39"),
        pytest.param(0.26, {4, 2}, id="then 1.61, 0.19 away"),
        pytest.param(0.5, {4, 2, 1}, id="then 0.92, 0.50 away"),
        pytest.param(0.9, {4, 2, 1, 0}, id="then 2.30, 0.89 away"),
        pytest.param(0.99, {0, 1, 2, 3, 4}, id="at last 3.00"),
    ],
)
def test_typical_keeps_tokens_near_the_expected_surprise(p: float, kept: set[int]) -> None:
    assert set(left("typ_p", HALVES, typical=p)) == kept


@pytest.mark.parametrize(
    ("n", "kept"),
    [
        pytest.param(0.5, {3}, id="sigma of 1 2 3 6 is 1.87: from 5.06"),
        pytest.param(2.0, {2, 3}, id="from 2.26"),
        pytest.param(2.2, {1, 2, 3}, id="from 1.88"),
        pytest.param(3.0, {0, 1, 2, 3}, id="from 0.39"),
    ],
)
def test_top_n_sigma_keeps_logits_near_the_largest(n: float, kept: set[int]) -> None:
    assert set(left("top_n_sigma", [1, 2, 3, 6], top_nsigma=n)) == kept
    assert set(left("top_n_sigma", [1, 2, 3, 6, -np.inf], top_nsigma=n)) == kept


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("top_k", {"top_k": 1}),
        ("top_p", {"top_p": 0}),
        ("min_p", {"min_p": 1}),
        ("typ_p", {"typical": 0}),
        ("tfs_z", {"tfs": 0}),
        ("top_n_sigma", {"top_nsigma": 0.001}),
        ("xtc", {"xtc_probability": 1, "xtc_threshold": 0}),
        ("temperature", {"temp": 0.1}),
        ("temperature", {"dynatemp_range": 0.5}),
    ],
)
@pytest.mark.parametrize("others", [0, 3])
def test_a_single_possible_token_always_stays(name: str, settings: dict[str, float], others: int) -> None:
    logits = [-np.inf] * others + [-7.0] + [-np.inf] * others
    if len(logits) == 1 and name == "top_k":
        return  # it would do nothing and is left out
    kept = left(name, logits, **settings)
    assert kept[others] > -np.inf
    assert all(logit == -np.inf for token, logit in kept.items() if token != others)


def test_temperature_divides_the_differences() -> None:
    assert left("temperature", [1, 3, 2], temp=0.5) == {0: -4, 1: 0, 2: -2}


def test_a_tiny_temperature_leaves_only_the_likeliest_possible() -> None:
    kept = left("temperature", [1, 3, -np.inf, 3], temp=1e-300)
    assert (kept[1], kept[3]) == (0, 0)
    assert max(kept[0], kept[2]) < -1e20


def test_temperature_zero_keeps_the_likeliest_with_the_lowest_id() -> None:
    assert left("temperature", [1, 3, 3], temp=0) == {1: 3}


@pytest.mark.parametrize(
    ("settings", "history", "expected"),
    [
        pytest.param({"repeat_penalty": 2}, (0, 1), [2, -6, 5], id="repeat: / where positive, * where negative"),
        pytest.param({"repeat_penalty": 2}, (0, 0, 0), [2, -3, 5], id="repeat: once, however often"),
        pytest.param({"frequency_penalty": 0.5}, (0, 0, 2), [3, -3, 4.5], id="frequency: each time"),
        pytest.param({"presence_penalty": 0.5}, (0, 0, 2), [3.5, -3, 4.5], id="presence: once"),
        pytest.param({"repeat_penalty": 2, "frequency_penalty": 1, "presence_penalty": 0.5}, (0, 0), [-0.5, -3, 5],
                     id="all: 4 / 2 - 2 * 1 - 0.5"),
        pytest.param({"presence_penalty": 1, "repeat_last_n": 2}, (0, 1, 2), [4, -4, 4], id="only the last two"),
        pytest.param({"frequency_penalty": 1, "repeat_last_n": 2}, (0, 1, 0, 0), [2, -3, 5], id="counts what leaves"),
        pytest.param({"presence_penalty": 1, "repeat_last_n": -1}, (0, *[1] * 200), [3, -4, 5], id="everything"),
        pytest.param({"presence_penalty": 1}, (), [4, -3, 5], id="no history"),
        pytest.param({"presence_penalty": 1}, (99, -1), [4, -3, 5], id="tokens outside the vocabulary"),
    ],
)  # fmt: skip
def test_penalties_change_the_tokens_seen(
    settings: dict[str, float], history: tuple[int, ...], expected: list[float]
) -> None:
    assert list(left("penalties", [4, -3, 5], history, **settings).values()) == expected


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("penalties", {}),
        ("penalties", {"repeat_penalty": 2, "repeat_last_n": 0}),
        ("top_k", {"top_k": 0}),
        ("top_k", {"top_k": -1}),
        ("top_k", {"top_k": 5}),
        ("top_p", {"top_p": 1}),
        ("min_p", {"min_p": 0}),
        ("temperature", {"temp": 1}),
        ("typ_p", {}),
        ("tfs_z", {}),
        ("top_n_sigma", {}),
        ("top_n_sigma", {"top_nsigma": 0}),
        ("xtc", {}),
        ("xtc", {"xtc_probability": 1, "xtc_threshold": 0.51}),
        ("dry", {}),
        ("dry", {"dry_multiplier": 1, "dry_penalty_last_n": 0}),
    ],
)
def test_a_sampler_that_would_do_nothing_is_left_out(name: str, settings: dict[str, float]) -> None:
    assert STAGES[name](SamplingOptions(**settings), Letters(5)) is None  # type: ignore[arg-type]
