"""Encoders: what is written is read back, and is not worse than what ggml's own quantisers make of the same weights."""

import json
from pathlib import Path

import numpy as np
import pytest
from golden_data import needed

from llamachat.engine.quants import FORMATS, STORED
from llamachat.engine.quants.encoding import encode
from llamachat.engine.quants.format import BlockFormat

EVERY = pytest.mark.parametrize("fmt", [one.source for one in STORED.values()], ids=lambda fmt: fmt.name)
# Relative errors that ggml 0.25.3's quantisers make of such weights without importances; IQ2_XXS, IQ2_XS and IQ1_S,
# which need some, with such. Rows of normal numbers have the same error everywhere, to two per cent.
GGML = {
    "Q4_0": 0.0862,
    "Q4_1": 0.0783,
    "Q5_0": 0.0429,
    "Q5_1": 0.0380,
    "Q8_0": 0.00537,
    "Q8_1": 0.00537,
    "Q2_K": 0.2973,
    "Q3_K": 0.1514,
    "Q4_K": 0.0718,
    "Q5_K": 0.0362,
    "Q6_K": 0.0178,
    "Q8_K": 0.0072,
    "IQ2_XXS": 0.3702,
    "IQ2_XS": 0.3276,
    "IQ2_S": 0.2644,
    "IQ3_XXS": 0.2132,
    "IQ3_S": 0.1682,
    "IQ1_S": 0.5304,
    "IQ1_M": 0.5855,
    "IQ4_NL": 0.0760,
    "IQ4_XS": 0.0765,
    "TQ1_0": 0.8059,
    "TQ2_0": 0.8059,
    "MXFP4": 0.1136,
    "NVFP4": 0.1037,
    "Q1_0": 0.6005,
    "Q2_0": 0.40,
    "Q2_0_128": 0.42,
}


def error(fmt: BlockFormat, x: np.ndarray, *, search: bool = True) -> float:
    found = fmt.decode(encode(fmt, x, search=search)).reshape(x.shape)
    return float(np.sqrt(((found - x) ** 2).sum() / (x**2).sum()))


@EVERY
def test_errors_are_not_larger_than_ggml_s(fmt: BlockFormat) -> None:
    rows = 1 if fmt.name.startswith("IQ") else 8
    x = np.random.default_rng(1).standard_normal((rows, 1024)).astype(np.float32)
    assert error(fmt, x) < 1.05 * GGML[fmt.name]


@EVERY
def test_without_search_they_are_still_near(fmt: BlockFormat) -> None:
    x = np.random.default_rng(2).standard_normal((1, 1024)).astype(np.float32)
    assert error(fmt, x, search=False) < max(1.6 * GGML[fmt.name], GGML[fmt.name] + 0.3)


@EVERY
def test_zeros_become_zeros(fmt: BlockFormat) -> None:
    np.testing.assert_array_equal(fmt.decode(encode(fmt, np.zeros(2 * fmt.block))), 0)


@EVERY
def test_decoded_weights_are_encoded_to_nearly_themselves(fmt: BlockFormat) -> None:
    """A second pass loses next to nothing: codes, signs and scales get to where they are read."""
    x = np.random.default_rng(3).standard_normal((1, 512)).astype(np.float32)
    once = fmt.decode(encode(fmt, x))
    assert error(fmt, once) < 0.35 * GGML[fmt.name]


@pytest.mark.parametrize("name", ["IQ1_S", "IQ1_M", "IQ2_XXS", "Q3_K", "Q6_K", "IQ4_XS"])
def test_groups_of_a_block_have_scales_of_their_own(name: str) -> None:
    """Integers of groups lie in bits of words, with and without signs."""
    fmt = FORMATS[name]
    assert isinstance(fmt, BlockFormat)
    x = np.random.default_rng(4).standard_normal((4, 8, 32)) * 2.0 ** np.arange(0, -4, -0.5)[:, None]
    assert error(fmt, x.reshape(4, 256)) < 1.1 * GGML[name]


@EVERY
def test_no_weights_are_no_blocks(fmt: BlockFormat) -> None:
    assert encode(fmt, np.zeros((0, fmt.block))).shape == (0,)


@pytest.mark.parametrize("name", ["Q4_0", "Q8_0", "Q4_K", "IQ4_NL", "MXFP4", "NVFP4"])
def test_numbers_that_are_not_finite_and_too_large_ones_make_no_others_so(name: str) -> None:
    fmt = FORMATS.get(name) or STORED[name].source
    x = np.ones((4, 256))
    x[0, 3], x[1, 3], x[2, 3], x[3, 3] = np.nan, np.inf, -np.inf, 1e30
    with np.errstate(all="ignore"):
        found = fmt.decode(encode(fmt, x))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[64:256], 1, rtol=0.1)


def test_the_golden_matrices(golden: Path) -> None:
    """With the matrices at hand: for formats without codebooks all three."""
    reference = json.loads(needed(golden / "quantize" / "reference.json").read_text())["types"]
    matrices = np.load(needed(golden / "quantize" / "matrices.npz"))
    for name, by_matrix in reference.items():
        if name.startswith(("IQ1", "IQ2", "IQ3")):
            continue
        for matrix in ("normal", "heavy", "real"):
            found = error(STORED[name].source, matrices[matrix].astype(np.float32))
            assert found <= 1.02 * by_matrix[matrix]["plain"]["rms"], (name, matrix)
