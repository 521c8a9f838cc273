"""Angles of rotary embeddings."""

import dataclasses
import math

import numpy as np
import numpy.typing as npt
import pytest

from llamachat.engine.graph import RopeSpec, Tensor
from llamachat.engine.positions import rope_angles, yarn_ramp
from llamachat.errors import ModelFileError

PLAIN = RopeSpec(8, 10_000.0, "adjacent")
YARN = RopeSpec(32, 10_000.0, "adjacent", scale=4.0, magnitude=1.5, yarn_original=2048)
POSITIONS = np.array([0, 1, 7])


def angles(spec: RopeSpec, factors: npt.NDArray[np.float64] | None = None) -> npt.NDArray[np.float64]:
    """Angles at position 1, which are small enough to be read back."""
    cos, sin = rope_angles(spec, factors, np.array([1]))
    return np.arctan2(sin, cos)[0]


def test_angles_are_positions_times_falling_powers_of_the_base() -> None:
    cos, sin = rope_angles(PLAIN, None, POSITIONS)
    wanted = np.outer([0, 1, 7], [1, 0.1, 0.01, 0.001])
    np.testing.assert_allclose(cos, np.cos(wanted), rtol=1e-13)
    np.testing.assert_allclose(sin, np.sin(wanted), rtol=1e-13)


def test_linear_scaling_divides_the_angles() -> None:
    np.testing.assert_allclose(angles(dataclasses.replace(PLAIN, scale=4.0)), np.array([1, 0.1, 0.01, 0.001]) / 4)


def test_factors_divide_each_pairs_angle() -> None:
    np.testing.assert_allclose(angles(PLAIN, np.array([1.0, 2, 4, 8])), [1, 0.05, 0.0025, 0.000125])


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_factor_that_is_not_positive_is_refused_with_its_tensor(value: float) -> None:
    spec = dataclasses.replace(PLAIN, factors=Tensor("rope_freqs.weight", (4,)))
    with pytest.raises(ModelFileError, match=r"rope_freqs\.weight.*positive"):
        angles(spec, np.array([1.0, value, 1, 1]))


def test_the_magnitude_multiplies_cosines_and_sines() -> None:
    cos, sin = rope_angles(YARN, None, POSITIONS)
    np.testing.assert_allclose(cos**2 + sin**2, 1.5**2)


def test_yarn_leaves_fast_pairs_and_scales_slow_ones() -> None:
    plain = 10_000.0 ** (-np.arange(16) / 16)
    found = angles(YARN)
    np.testing.assert_allclose(found[:4], plain[:4])
    np.testing.assert_allclose(found[-5:], plain[-5:] / 4)
    assert np.all((found[5:10] < plain[5:10]) & (found[5:10] > plain[5:10] / 4))


def test_the_ramp_runs_between_the_rounded_pairs_of_the_two_betas() -> None:
    fast, slow = (32 * math.log(2048 / (beta * 2 * math.pi)) / (2 * math.log(1e4)) for beta in (32, 1))
    low, high = math.floor(fast), math.ceil(slow)
    assert (low, high) == (4, 11)
    np.testing.assert_allclose(yarn_ramp(YARN)[low : high + 1], np.linspace(1, 0, high - low + 1), atol=1e-15)


@pytest.mark.parametrize("original", [pytest.param(1, id="tiny"), pytest.param(2**31 - 1, id="huge")])
def test_the_ramp_stays_between_nothing_and_everything(original: int) -> None:
    ramp = yarn_ramp(dataclasses.replace(YARN, yarn_original=original))
    assert ramp.min() >= 0
    assert ramp.max() <= 1
