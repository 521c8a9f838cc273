"""Kernels of norms, elementwise operations and columns, against NumPy in float64, on every instruction set."""

import numpy as np
import pytest
from machine import Array, Machine, poisoned, rows_of

from llamachat.engine.backend.cpu.kernels.columns import CopyColumns
from llamachat.engine.backend.cpu.kernels.elementwise import Broadcast, Elementwise, Pointwise
from llamachat.engine.backend.cpu.kernels.embed import AddPositions
from llamachat.engine.backend.cpu.kernels.functions import ACTIVATIONS
from llamachat.engine.backend.cpu.kernels.norm import Norm, lanes_for
from llamachat.engine.backend.cpu.workers import Step
from llamachat.engine.reference import elementwise as exact

THREADS = [1, 2, 3]
COUNT = {"count": Step.offset("n_tokens")}


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def normed(kind: str, x: np.ndarray, eps: float) -> np.ndarray:
    """Groups [n, groups, size] in float64."""
    x = x.astype(np.float64)
    if kind == "layer":
        x = x - x.mean(-1, keepdims=True)
    if kind == "l2":
        return x / np.maximum(np.sqrt((x**2).sum(-1, keepdims=True)), eps)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("given", ["", "weight", "weight residual", "bias", "weight bias own", "weight bias residual"])
@pytest.mark.parametrize("kind", ["rms", "layer", "l2"])
@pytest.mark.parametrize(("size", "groups"), [(4, 3), (24, 1), (64, 1), (576, 1), (16, 9), (7, 5)])
def test_a_norm_equals_numpy(machine: Machine, kind: str, size: int, groups: int, given: str, threads: int) -> None:
    n, width, eps = 5, size * groups, 1e-3
    own = "own" in given
    x = Array(normal(n, width + 8) + np.float32(3))
    x.values[1] *= 1e-3
    other, y = Array(normal(n, width + 16, seed=1)), poisoned(n, width + 16)
    weight, bias = (Array(normal(groups if own else 1, size, seed=seed)) for seed in (2, 3))
    arguments = {
        "x": x.address,
        "y": y.address,
        "other": other.address if "residual" in given else 0,
        "weight": weight.address if "weight" in given else 0,
        "bias": bias.address if "bias" in given else 0,
        "weight_group": 4 * size * own,
        "bias_group": 4 * size * own,
        "groups": groups,
        "x_stride": 4 * (width + 8),
        "y_stride": 4 * (width + 16),
        "eps": eps,
    }
    spec = Norm(kind, size, "weight" in given, "bias" in given, "residual" in given)
    machine.run(spec, {**arguments, **COUNT}, threads, n_tokens=n)
    expected = normed(kind, x.values[:, :width].reshape(n, groups, size), eps)
    expected = expected * (weight.values if "weight" in given else 1) + (bias.values if "bias" in given else 0)
    expected = expected.reshape(n, width) + (other.values[:, :width] if "residual" in given else 0)
    np.testing.assert_allclose(y.values[:, :width], expected, rtol=1e-5, atol=3e-6)
    assert np.isnan(y.values[:, width:]).all()
    assert y.intact()


def test_a_norm_of_large_numbers_that_hardly_differ_keeps_their_differences(machine: Machine) -> None:
    x, y = Array(np.float32(1000) + normal(1, 96)), poisoned(1, 96)
    places = {"x": x.address, "y": y.address, "other": 0, "weight": 0, "bias": 0, "weight_group": 0, "bias_group": 0}
    sizes = {"groups": 1, "x_stride": 384, "y_stride": 384, "eps": 1e-5}
    machine.run(Norm("layer", 96, False), {**places, **sizes, **COUNT}, n_tokens=1)
    np.testing.assert_allclose(y.values, normed("layer", x.values[:, None], 1e-5)[:, 0], atol=2e-4)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("operation", ["add", "mul", *ACTIVATIONS])
def test_rows_are_combined(machine: Machine, operation: str, threads: int) -> None:
    a, b, y = Array(normal(5, 96)), Array(normal(5, 96, seed=1)), poisoned(6, 96)
    arguments = {"a": a.address, "b": b.address, "y": y.address, "stride": 4 * 96}
    machine.run(Elementwise(operation), {**arguments, **COUNT}, threads, n_tokens=5)
    x, other = a.values.astype(np.float64), b.values.astype(np.float64)
    pairs = {"add": x + other, "mul": x * other}
    expected = pairs[operation] if operation in pairs else exact.ACTIVATIONS[operation](x) * other
    np.testing.assert_allclose(y.values[:5], expected, rtol=1e-5, atol=1e-7)
    assert np.isnan(y.values[5]).all()
    assert y.intact()


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("b", ["vector", "one value", "number for each row"])
@pytest.mark.parametrize("operation", ["add", "mul"])
@pytest.mark.parametrize("width", [1, 7, 24, 96])
def test_a_vector_serves_all_rows(machine: Machine, width: int, operation: str, b: str, threads: int) -> None:
    n, stride = 5, 4 * 128
    a, y = Array(normal(n, 128)), poisoned(n, 128)
    others = {"vector": (width,), "one value": (1,), "number for each row": (n, 1)}
    other = Array(normal(*others[b], seed=1))
    places = {"a": a.address, "b": other.address, "y": y.address}
    sizes = {"width": width, "stride": stride, "b_stride": 4 if b.startswith("number") else 0}
    spec = Broadcast(operation, b != "vector", lanes_for(width))
    machine.run(spec, {**places, **sizes, **COUNT}, threads, n_tokens=n)
    x = a.values[:, :width]
    np.testing.assert_array_equal(y.values[:, :width], x + other.values if operation == "add" else x * other.values)
    assert np.isnan(y.values[:, width:]).all()
    assert y.intact()


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("operation", ["scale", "clamp", "soft_cap"])
def test_constants_are_arguments(machine: Machine, operation: str, threads: int) -> None:
    x, y = Array(20 * normal(5, 64)), poisoned(6, 64)
    p, q = (-7.5, 9.25) if operation == "clamp" else (30.0, 0.25)
    arguments = {"x": x.address, "y": y.address, "stride": 4 * 64, "p": p, "q": q}
    machine.run(Pointwise(operation), {**arguments, **COUNT}, threads, n_tokens=5)
    values = x.values.astype(np.float64)
    expected = {"scale": values * p + q, "clamp": np.clip(values, p, q), "soft_cap": p * np.tanh(values / p)}
    np.testing.assert_allclose(y.values[:5], expected[operation], rtol=2e-6, atol=1e-6)
    assert np.isnan(y.values[5]).all()
    assert y.intact()


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("width", [5, 24, 96])
def test_positions_choose_rows_of_the_table(machine: Machine, width: int, threads: int) -> None:
    n, stride = 6, 4 * 128
    x, y, table = Array(normal(n, 128)), poisoned(n, 128), Array(normal(20, width, seed=1))
    positions = np.array([3, 4, 19, 0, 7, 7])
    rows = rows_of(0, np.zeros(n), positions)
    arguments = {"x": x.address, "y": y.address, "table": table.address, "width": width, "stride": stride}
    machine.run(AddPositions(lanes_for(width)), arguments, threads, n_tokens=n, rows=rows.address)
    np.testing.assert_array_equal(y.values[:, :width], x.values[:, :width] + table.values[positions])
    assert np.isnan(y.values[:, width:]).all()
    assert y.intact()


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize(
    ("groups", "size", "first", "n"), [(1, 96, 32, 48), (3, 20, 13, 7), (4, 8, 0, 8), (5, 3, 2, 1)]
)
def test_columns_of_groups_are_copied(
    machine: Machine, groups: int, size: int, first: int, n: int, threads: int
) -> None:
    rows, gap = 5, 3  # in y, a gap follows each group
    x, y = Array(normal(rows, groups * size)), poisoned(rows, groups * (n + gap))
    given = {"x": x.address, "y": y.address, "groups": groups, "n": n, "x_first": 4 * first, "y_first": 4}
    strides = {"x_group": 4 * size, "y_group": 4 * (n + gap), "x_stride": 4 * groups * size}
    strides["y_stride"] = 4 * groups * (n + gap)
    machine.run(CopyColumns(lanes_for(n)), {**given, **strides, **COUNT}, threads, n_tokens=rows)
    expected = np.full((rows, groups, n + gap), np.nan, np.float32)
    expected[..., 1 : n + 1] = x.values.reshape(rows, groups, size)[..., first : first + n]
    np.testing.assert_array_equal(y.values, expected.reshape(rows, -1))
    assert y.intact()
