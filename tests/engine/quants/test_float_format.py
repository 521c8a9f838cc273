"""F32, F16 and BF16: decoded and encoded as NumPy and the `gguf` package do."""

import gguf
import numpy as np
import pytest

from llamachat.engine.quants import FORMATS
from llamachat.engine.quants.floats import FLOATS, FloatFormat

EVERY = pytest.mark.parametrize("fmt", FLOATS, ids=lambda fmt: fmt.name)
HALVES = pytest.mark.parametrize("fmt", FLOATS[1:], ids=lambda fmt: fmt.name)
SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -2.5], np.float32)


def bits(values: np.ndarray) -> np.ndarray:
    return values.view(np.uint32)


def every_half() -> np.ndarray:
    """All 65,536 patterns as bytes."""
    return np.arange(1 << 16, dtype="<u2").view(np.uint8)


@HALVES
def test_every_pattern_decodes_as_in_the_gguf_package(fmt: FloatFormat) -> None:
    ours = fmt.decode(every_half())
    theirs = gguf.quants.dequantize(every_half(), gguf.GGMLQuantizationType[fmt.name])
    np.testing.assert_array_equal(bits(ours), bits(theirs.astype(np.float32)))


def test_random_bytes_are_f32_as_they_are() -> None:
    data = np.random.default_rng(2).integers(0, 256, 4000, np.uint8)
    assert FORMATS["F32"].decode(data).tobytes() == data.tobytes()


@HALVES
def test_every_pattern_is_encoded_back_to_itself(fmt: FloatFormat) -> None:
    values = fmt.decode(every_half())
    number = ~np.isnan(values)
    back = fmt.encode(values)
    np.testing.assert_array_equal(back.view("<u2")[number], every_half().view("<u2")[number])
    assert np.isnan(fmt.decode(back)[~number]).all()


@EVERY
def test_infinities_nan_and_the_sign_of_zero_survive(fmt: FloatFormat) -> None:
    back = fmt.decode(fmt.encode(SPECIAL))
    np.testing.assert_array_equal(back, SPECIAL)
    np.testing.assert_array_equal(np.signbit(back), np.signbit(SPECIAL))


@EVERY
def test_a_nan_whose_payload_is_all_low_bits_stays_a_nan(fmt: FloatFormat) -> None:
    values = np.array([0x7F800001, 0xFFFFFFFF, 0xFF800001], np.uint32).view(np.float32)
    assert np.isnan(fmt.decode(fmt.encode(values))).all()


ROUNDED = [
    pytest.param("F16", 1 + 2**-11, 1.0, id="F16 tie to even below"),
    pytest.param("F16", 1 + 3 * 2**-11, 1 + 2**-9, id="F16 tie to even above"),
    pytest.param("F16", 1 + 2**-11 + 2**-20, 1 + 2**-10, id="F16 above the tie"),
    pytest.param("F16", 65519.0, 65504.0, id="F16 just below overflow"),
    pytest.param("F16", 65520.0, np.inf, id="F16 overflow"),
    pytest.param("F16", -1e30, -np.inf, id="F16 far overflow"),
    pytest.param("F16", 2**-24, 2**-24, id="F16 smallest subnormal"),
    pytest.param("F16", 2**-25, 0.0, id="F16 half the smallest subnormal"),
    pytest.param("F16", 3 * 2**-25, 2**-23, id="F16 subnormal tie to even"),
    pytest.param("BF16", 1 + 2**-8, 1.0, id="BF16 tie to even below"),
    pytest.param("BF16", 1 + 3 * 2**-8, 1 + 2**-6, id="BF16 tie to even above"),
    pytest.param("BF16", 1 + 2**-8 + 2**-20, 1 + 2**-7, id="BF16 above the tie"),
    pytest.param("BF16", 3.4028235e38, np.inf, id="BF16 overflow"),
    pytest.param("BF16", -3.4028235e38, -np.inf, id="BF16 negative overflow"),
    pytest.param("BF16", 2**-133, 2**-133, id="BF16 smallest subnormal"),
    pytest.param("BF16", 2**-134, 0.0, id="BF16 half the smallest subnormal"),
    pytest.param("BF16", 3 * 2**-134, 2**-132, id="BF16 subnormal tie to even"),
]


@pytest.mark.parametrize(("name", "value", "expected"), ROUNDED)
def test_values_are_rounded_to_the_nearest_even(name: str, value: float, expected: float) -> None:
    fmt = FORMATS[name]
    assert isinstance(fmt, FloatFormat)
    assert fmt.decode(fmt.encode(np.array([value], np.float32)))[0] == np.float32(expected)


def test_random_values_become_bf16_as_in_the_gguf_package() -> None:
    patterns = np.random.default_rng(3).integers(0, 1 << 32, 100_000, np.uint32)
    # The gguf package flushes subnormals to zero; llama.cpp's own conversion and ours keep them.
    values = patterns.view(np.float32)[(patterns & 0x7F800000) != 0]
    theirs = gguf.quants.quantize(values, gguf.GGMLQuantizationType.BF16)
    fmt = FORMATS["BF16"]
    assert isinstance(fmt, FloatFormat)
    np.testing.assert_array_equal(fmt.encode(values).view("<u2"), theirs.view("<u2").ravel())


@EVERY
def test_float64_and_matrices_are_taken(fmt: FloatFormat) -> None:
    values = np.array([[1.0, 2.0], [-0.5, 4.0]])
    np.testing.assert_array_equal(fmt.decode(fmt.encode(values)), values.ravel())
