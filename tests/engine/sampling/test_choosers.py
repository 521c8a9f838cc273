"""Mirostat: the surprise of what it chooses comes near its target. Temperatures, tails and top choices left out."""

import numpy as np
import pytest
from letters import Letters

from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.sampling.chain import STAGES, Sampler
from llamachat.engine.sampling.choosers import chooser
from llamachat.engine.sampling.options import SamplingOptions


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("target", [2.0, 4.0])
def test_mirostat_comes_near_its_target(version: int, target: float) -> None:
    logits = (-1.1 * np.log(np.arange(1, 3001))).astype(np.float32)
    options = SamplingOptions(mirostat=version, mirostat_ent=target, temp=1, seed=4)
    mirostat, random = chooser(options, 3000), np.random.default_rng(5)
    surprises = []
    for _ in range(2500):
        candidates = Candidates(np.arange(3000), logits)
        token = mirostat.choose(candidates, random)
        weights = candidates.weights()
        surprises.append(-np.log2(weights[candidates.ids == token][0] / weights.sum()))
    assert abs(np.mean(surprises[500:]) - target) < 0.1
    share = np.exp(logits) / np.exp(logits).sum()
    assert -(share * np.log2(share)).sum() > target + 1  # what a plain draw would have


def test_mirostat_without_surprise_takes_the_likeliest() -> None:
    logits = np.array([0, 5, 1, 2], np.float32)
    sampler = Sampler(SamplingOptions(mirostat=2, mirostat_ent=0, temp=1, seed=4), Letters(4))
    assert {sampler.sample(logits).token for _ in range(30)} == {1}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("logits", [[0, 0, 0], [np.inf, 1, 0], [-np.inf, 3, -np.inf], [np.nan, 1, 1e30]])
def test_mirostat_survives_strange_logits(version: int, logits: list[float]) -> None:
    sampler = Sampler(SamplingOptions(mirostat=version, seed=4), Letters(3))
    for _ in range(20):
        assert np.array(logits)[sampler.sample(np.array(logits, np.float32)).token] > -np.inf


def test_mirostat_at_temperature_zero_is_greedy() -> None:
    logits = np.array([0, 1, 1.1, 0], np.float32)
    sampler = Sampler(SamplingOptions(mirostat=2, temp=0), Letters(4))
    assert {sampler.sample(logits).token for _ in range(20)} == {2}


def scaled(logits: list[float], **settings: float) -> np.ndarray:
    stage = STAGES["temperature"](SamplingOptions(**settings), Letters(len(logits)))  # type: ignore[arg-type]
    assert stage is not None
    candidates = Candidates(np.arange(len(logits)), np.array(logits, np.float32))
    stage.apply(candidates)
    return candidates.logits


def test_dynamic_temperature_is_high_where_the_model_is_unsure() -> None:
    np.testing.assert_allclose(scaled([1, 1, 1, 1], temp=1, dynatemp_range=0.5), 0)
    # Two equal tokens of four possible: H / ln 4 = 1/2, so T = 0.5 + 1 * 1/2 = 1.
    sure = scaled([30, 30, 0, 0], temp=1, dynatemp_range=0.5)
    np.testing.assert_allclose(sure, [0, 0, -30, -30], rtol=1e-4)
    squared = scaled([30, 30, 0, 0], temp=1, dynatemp_range=0.5, dynatemp_exp=2)
    np.testing.assert_allclose(squared, [0, 0, -40, -40], rtol=1e-4)


def test_a_tail_is_cut_where_the_curve_is_flat() -> None:
    """p = .5 .3 .1 .06 .04: d2 = 0, .16, .02, so shares 0, .89, .11 and sums 0, .89, 1."""
    logits = np.log([0.1, 0.5, 0.06, 0.3, 0.04]).astype(np.float32)
    for z, kept in ((0.5, [1]), (0.95, [1, 3]), (0.999999, [1, 3])):
        stage = STAGES["tfs_z"](SamplingOptions(tfs=z), Letters(5))
        assert stage is not None
        candidates = Candidates(np.arange(5), logits)
        stage.apply(candidates)
        assert candidates.ids.tolist() == kept


def test_a_flat_curve_has_a_tail_in_proportion() -> None:
    """Equal probabilities have no curvature: each of the 8 second differences of 10 tokens has the same share."""
    for z, n_kept in ((0.5, 4), (0.1, 1), (0.99, 7)):
        stage = STAGES["tfs_z"](SamplingOptions(tfs=z), Letters(10))
        assert stage is not None
        candidates = Candidates(np.arange(10), np.full(10, 3, np.float32))
        stage.apply(candidates)
        assert candidates.ids.tolist() == list(range(n_kept))


def test_an_infinite_target_of_mirostat_1_overflows_to_everything() -> None:
    logits = np.array([0, 1, -np.inf, 0.5], np.float32)
    sampler = Sampler(SamplingOptions(mirostat=1, temp=1000, mirostat_ent=100, seed=4), Letters(4))
    assert {sampler.sample(logits).token for _ in range(60)} == {0, 1, 3}


@pytest.mark.parametrize("size", [3, 1500, 5000])
def test_the_cut_of_a_tail_is_that_of_the_formula(size: int) -> None:
    logits = np.random.default_rng(size).normal(0, 2, size).astype(np.float32)
    order = np.argsort(-logits, kind="stable")
    p = np.exp(logits[order].astype(np.float64))
    p /= p.sum()
    curvature = np.abs(np.diff(np.diff(p)))
    for z in (0.3, 0.9, 0.99):
        cut = next((i for i in range(1, size - 2) if curvature[: i + 1].sum() / curvature.sum() > z), size)
        stage = STAGES["tfs_z"](SamplingOptions(tfs=z), Letters(size))
        assert stage is not None
        candidates = Candidates(np.arange(size), logits)
        stage.apply(candidates)
        assert sorted(candidates.ids.tolist()) == sorted(order[:cut].tolist())


def test_xtc_without_a_threshold_never_leaves_a_banned_token() -> None:
    logits = np.array([2, 1, -np.inf, 0, 0], np.float32)
    sampler = Sampler(SamplingOptions(xtc_probability=1, xtc_threshold=0, seed=1), Letters(5))
    assert {sampler.sample(logits).token for _ in range(20)} == {4}  # of equal ones the last


def test_xtc_has_a_random_stream_of_its_own() -> None:
    logits = np.zeros(1000, np.float32)
    options = {"temp": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 3}
    plain = Sampler(SamplingOptions(**options), Letters(1000))
    with_xtc = Sampler(SamplingOptions(**options, xtc_probability=0.5), Letters(1000))
    assert [plain.sample(logits).token for _ in range(9)] == [with_xtc.sample(logits).token for _ in range(9)]


def test_xtc_acts_as_often_as_it_should() -> None:
    logits = np.log(np.array([0.5, 0.4, 0.1])).astype(np.float32)
    sampler = Sampler(SamplingOptions(temp=0, xtc_probability=0.3, seed=8), Letters(3))
    chosen = [sampler.sample(logits).token for _ in range(2000)]
    assert set(chosen) == {0, 1}
    assert 0.26 < np.mean(chosen) < 0.34
