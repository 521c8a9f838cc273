"""Finding the largest logits without sorting all, against a plain stable sort."""

import numpy as np
import pytest

from llamachat.engine.sampling.candidates import BLOCK, GROUP, Candidates, best, exceeded_at, largest
from llamachat.engine.sampling.top_p import nucleus
from llamachat.errors import LlamaChatError


def stable_order(logits: np.ndarray) -> np.ndarray:
    return np.argsort(-logits, kind="stable")


@pytest.mark.parametrize("size", [1, 5, GROUP - 1, GROUP * 100 + 17, 50_000])
@pytest.mark.parametrize("k", [1, 2, 40, 2000])
@pytest.mark.parametrize("distinct", [None, 1, 3, 50])
def test_the_best_are_those_of_a_stable_sort(size: int, k: int, distinct: int | None) -> None:
    random = np.random.default_rng([size, k])
    logits = random.standard_normal(size) if distinct is None else random.integers(0, distinct, size)
    logits = logits.astype(np.float32)
    expected = stable_order(logits)[:k]
    np.testing.assert_array_equal(best(logits, k), expected)
    np.testing.assert_array_equal(largest(logits, k), np.sort(expected))


def test_infinite_logits_are_ordered_like_others() -> None:
    logits = np.full(10_000, -np.inf, dtype=np.float32)
    logits[[7, 9_000]] = 1, np.inf
    np.testing.assert_array_equal(best(logits, 3), [9_000, 7, 0])


@pytest.mark.parametrize("size", [10, 5_000, 40_000])
@pytest.mark.parametrize("p", [0.0, 0.3, 0.95, 0.999])
@pytest.mark.parametrize("spread", [0.0, 1e-6, 0.5, 6.0])
def test_the_nucleus_is_that_of_a_full_sort(size: int, p: float, spread: float) -> None:
    logits = (np.random.default_rng(size).standard_normal(size) * spread).astype(np.float32)
    weights = np.exp(logits.astype(np.float64))
    order = stable_order(logits)
    need = p * float(weights.sum())
    count = int(np.searchsorted(np.cumsum(weights[order]), need)) + 1
    found = np.flatnonzero(nucleus(logits, weights, need))
    assert abs(found.size - count) <= 1  # sums in another order may differ in the last bit
    np.testing.assert_array_equal(found, np.sort(order[: found.size]))


@pytest.mark.parametrize("size", [1, 2, BLOCK, BLOCK + 1, 5000])
def test_a_running_sum_is_exceeded_where_a_plain_one_is(size: int) -> None:
    values = np.random.default_rng(size).integers(0, 3, size).astype(np.float64)  # whole numbers: no rounding
    values[0] += 1
    sums = np.cumsum(values)
    for share in (0.0, 0.25, 0.5, 0.875, np.nextafter(1, 0)):
        position = exceeded_at(values, share)
        assert sums[position] > share * sums[-1]
        assert position == 0 or sums[position - 1] <= share * sums[-1]


def test_nan_counts_as_impossible() -> None:
    candidates = Candidates(np.arange(3), np.array([np.nan, 1, np.nan], dtype=np.float32))
    np.testing.assert_array_equal(candidates.weights(), [0, 1, 0])


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_logits_of_which_none_is_usable_are_refused(value: float) -> None:
    with pytest.raises(LlamaChatError, match="no usable logit"):
        Candidates(np.arange(3), np.full(3, value, dtype=np.float32))


def test_infinite_logits_exclude_all_others() -> None:
    candidates = Candidates(np.arange(3), np.array([np.inf, 1e30, np.inf], dtype=np.float32))
    np.testing.assert_array_equal(candidates.weights(), [1, 0, 1])


def test_an_infinite_logit_can_be_banned_like_any_other() -> None:
    candidates = Candidates(np.arange(3), np.array([np.inf, np.nan, np.inf], dtype=np.float32))
    candidates.change(np.array([0]), np.array([-np.inf], dtype=np.float32))
    np.testing.assert_array_equal(candidates.weights(), [0, 0, 1])


def test_changing_candidates_leaves_the_callers_array_alone() -> None:
    logits = np.array([1, 2, 3], dtype=np.float32)
    candidates = Candidates(np.arange(3), logits)
    candidates.change(np.array([2]), np.array([0], dtype=np.float32))
    np.testing.assert_array_equal(logits, [1, 2, 3])
    assert candidates.largest == 2


def test_positions_are_found_after_narrowing_too() -> None:
    candidates = Candidates(np.arange(6), np.array([0, 5, 1, 4, 2, 3], dtype=np.float32))
    candidates.keep(best(candidates.logits, 3), best_first=True)
    positions, found = candidates.positions(np.array([0, 1, 5]), 6)
    np.testing.assert_array_equal(positions, [0, 2])
    np.testing.assert_array_equal(found, [False, True, True])
