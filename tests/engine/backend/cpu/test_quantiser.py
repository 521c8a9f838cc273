"""Native quantisers: as good as ggml's, the same bits everywhere, and nothing that a matrix may hold disturbs them."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from emulated import known_sets
from golden_data import needed

from llamachat.engine.backend import choose
from llamachat.engine.backend.cpu.jit.compiler import usable_isas
from llamachat.engine.backend.cpu.kernels.quantise import has_kernel
from llamachat.engine.backend.interface import Device, Settings
from llamachat.engine.quants import BLOCK_FORMATS, FORMATS, is_foreign
from llamachat.errors import UsageError

NATIVE = [name for name, fmt in BLOCK_FORMATS.items() if has_kernel(fmt) and not is_foreign(name)]


@pytest.fixture(scope="module")
def device() -> Iterator[Device]:
    found = choose.quantiser(2)
    yield found
    found.close()


def weights(n: int, columns: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, columns)) * np.exp(rng.standard_normal((n, 1)))).astype(np.float32)


def error(x: np.ndarray, y: np.ndarray, counts: np.ndarray | float = 1.0) -> float:
    return float(np.sqrt((counts * (x - y) ** 2).sum() / (counts * x**2).sum()))


def decoded(device: Device, name: str, x: np.ndarray, importance: np.ndarray | None = None) -> np.ndarray:
    fmt = FORMATS[name]
    return fmt.decode(device.encode(fmt, x, importance)).reshape(x.shape)


def test_every_plain_format_has_a_kernel() -> None:
    wanted = "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q8_1 Q2_K Q3_K Q4_K Q5_K Q6_K Q8_K TQ1_0 TQ2_0 Q1_0 Q2_0 MXFP4 NVFP4"
    assert set(wanted.split()) <= set(NATIVE)


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "importance"])
def test_errors_are_not_larger_than_ggml_s(device: Device, golden: Path, name: str, weighted: bool) -> None:
    reference = json.loads(needed(golden / "quantize" / "reference.json").read_text())["types"]
    if name not in reference:
        pytest.skip(f"there is no reference of {name}")
    matrices = np.load(needed(golden / "quantize" / "matrices.npz"))
    importance = matrices["imatrix"].astype(np.float32) if weighted else None
    key = ("imatrix", "weighted_rms") if weighted else ("plain", "rms")
    for matrix in ("normal", "heavy", "real"):
        x = matrices[matrix].astype(np.float32)
        found = error(x, decoded(device, name, x, importance), 1.0 if importance is None else importance)
        assert found <= 1.02 * reference[name][matrix][key[0]][key[1]], matrix


@pytest.mark.parametrize("isa", ["generic", "avx512vbmi-emulated"])
@pytest.mark.parametrize("name", ["Q8_1", "Q2_K"])
def test_bits_depend_on_no_instruction_set_and_no_number_of_threads(device: Device, name: str, isa: str) -> None:
    fmt, x = FORMATS[name], weights(5, 768)
    x[1, 5], x[2, 256:512], x[3] = np.nan, 0, x[3] * 1e-40
    wanted = device.encode(fmt, x).tobytes()
    with known_sets():
        if isa not in usable_isas():
            pytest.skip(f"this processor cannot run {isa}")
        other = choose.choose().open(Settings(threads=3, isa=isa))
        try:
            assert other.encode(fmt, x).tobytes() == wanted
        finally:
            other.close()


@pytest.mark.parametrize("name", NATIVE)
def test_a_block_is_what_it_is_alone(device: Device, name: str) -> None:
    """Also where fewer blocks than lanes are left, and the importance is that of the block's columns."""
    fmt = FORMATS[name]
    x, importance = weights(3, 3 * fmt.block), np.abs(weights(1, 3 * fmt.block, 2))[0] / 3
    importance *= len(importance) / importance.sum()
    together = device.encode(fmt, x).reshape(9, -1)
    blocks = x.reshape(9, 1, fmt.block)
    for i in (0, 4, 8):
        np.testing.assert_array_equal(device.encode(fmt, blocks[i])[0], together[i])
    weighted = device.encode(fmt, x, importance)
    for i in range(3):
        np.testing.assert_array_equal(device.encode(fmt, x[i : i + 1], importance)[0], weighted[i])


@pytest.mark.parametrize("name", NATIVE)
def test_what_is_no_number_or_too_large_stays_in_its_block(device: Device, name: str) -> None:
    x = np.ones((8, 512), np.float32)
    for row, value in enumerate((np.nan, np.inf, -np.inf, 3e38, 1e30, 1e-44, 0)):
        x[row, 3] = value
    x[6], x[7] = 0, 1e-42
    y = decoded(device, name, x)
    assert np.isfinite(y).all()
    np.testing.assert_array_equal(y[6], 0)
    np.testing.assert_allclose(y[7], 0, atol=1e-3)
    np.testing.assert_allclose(y[:6, 256:], 1, rtol=0.1)


@pytest.mark.parametrize("name", NATIVE)
def test_decoded_weights_are_encoded_to_nearly_themselves(device: Device, name: str) -> None:
    once = decoded(device, name, weights(4, 512))
    assert error(once, decoded(device, name, once)) < 0.08


def test_columns_of_no_importance_cost_nothing_and_all_of_none_count_alike(device: Device) -> None:
    x = weights(4, 256)
    x[:, 0] = 100
    importance = np.ones(256, np.float32)
    importance[0] = 0
    found = decoded(device, "Q4_K", x, importance)
    assert error(x[:, 1:], found[:, 1:]) < 0.1
    fmt = FORMATS["Q4_K"]
    np.testing.assert_array_equal(device.encode(fmt, x, np.zeros(256, np.float32)), device.encode(fmt, x))


@pytest.mark.parametrize("name", ["F16", "BF16", "IQ3_S"])
def test_others_go_through_it_too(device: Device, name: str) -> None:
    x = weights(2, 256)
    assert error(x, decoded(device, name, x)) < 0.7


@pytest.mark.parametrize(
    ("columns", "importance", "said"),
    [
        (300, None, "rows of 300 weights are not whole blocks of Q4_K"),
        (256, np.ones(255, np.float32), "255 importances for 256 columns"),
        (256, np.full(256, -1, np.float32), "finite and not negative"),
        (256, np.full(256, np.nan, np.float32), "finite and not negative"),
    ],
)
def test_what_cannot_be_is_refused(device: Device, columns: int, importance: np.ndarray | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        device.encode(FORMATS["Q4_K"], weights(1, columns), importance)


def test_what_is_called_meanwhile_ends_the_work(device: Device) -> None:
    class Enough(Exception):
        pass

    def stop() -> None:
        raise Enough

    with pytest.raises(Enough):
        device.encode(FORMATS["Q4_K"], weights(64, 4096), None, stop)
    assert error(weights(1, 256), decoded(device, "Q4_K", weights(1, 256))) < 0.1


def test_no_rows_are_no_blocks(device: Device) -> None:
    assert device.encode(FORMATS["Q4_K"], np.zeros((0, 256), np.float32)).shape == (0, 144)
