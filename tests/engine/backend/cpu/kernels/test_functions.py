"""Elementary functions of float32 registers, against NumPy in float64: their errors in units in the last place."""

from collections.abc import Callable

import numpy as np
import pytest
from machine import Array, Machine, poisoned

from llamachat.engine.backend.cpu.kernels.elementwise import Pointwise
from llamachat.engine.backend.cpu.kernels.functions import ACTIVATIONS
from llamachat.engine.backend.cpu.workers import Step
from llamachat.engine.reference import elementwise as exact

SIZES = np.concatenate([10.0 ** np.arange(-30, 3), np.geomspace(1e-4, 80, 5000), np.linspace(0, 20, 5000)])
VALUES = np.concatenate([[0.0], SIZES, -SIZES]).astype(np.float32)
WIDEST_ERROR = {
    "silu": 2.5,
    "gelu": 12,
    "relu": 0,
    "relu2": 0.5,
    "sigmoid": 2.5,
    "tanh": 1.5,
    "softplus": 2.5,
    "exp": 1.5,
}
"""Units in the last place that a result may be off."""
TAILS = {"gelu": 1e-3}
"""Of what x units are counted at least: far below zero gelu's exact value is lost in the reference, too."""


def computed(machine: Machine, name: str, values: np.ndarray, **constants: float) -> np.ndarray:
    width = -(-len(values) // 32) * 32
    x, y = Array(np.resize(values, (1, width)).astype(np.float32)), poisoned(1, width)
    given = {"x": x.address, "y": y.address, "count": Step.offset("n_tokens"), "stride": 4 * width}
    machine.run(Pointwise(name), {**given, "p": 0.0, "q": 0.0, **constants}, n_tokens=1)
    assert y.intact()
    return y.values[0, : len(values)]


def units(found: np.ndarray, wanted: np.ndarray, least: np.ndarray | float) -> np.ndarray:
    """How far float32 numbers are from the exact ones, in units in the last place of them, or of `least`."""
    size = np.maximum(np.maximum(np.abs(wanted), least), np.finfo(np.float32).tiny)
    return np.abs(found - wanted) / np.spacing(size.astype(np.float32))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_errors_are_small_over_the_whole_range(machine: Machine, name: str) -> None:
    values = VALUES[np.abs(VALUES) < 87]
    function: Callable[[np.ndarray], np.ndarray] = exact.ACTIVATIONS[name]
    least = TAILS.get(name, 0) * np.abs(values)
    error = units(computed(machine, name, values), function(values.astype(np.float64)), least)
    assert error.max() <= WIDEST_ERROR[name], values[error.argmax()]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_what_is_no_number_stays_none_and_large_numbers_overflow_nowhere(machine: Machine, name: str) -> None:
    low, high, nan = computed(machine, name, np.array([-1e4, 1e4, np.nan]))
    assert np.isnan(nan)
    ends = {"silu": (0, 1e4), "gelu": (0, 1e4), "relu": (0, 1e4), "relu2": (0, 1e8), "sigmoid": (0, 1)}
    ends |= {"tanh": (-1, 1), "softplus": (0, 1e4)}
    if name in ends:
        np.testing.assert_allclose([low, high], ends[name], rtol=1e-6, atol=1e-30)
    else:
        assert low == 0
        assert np.isfinite(high)
