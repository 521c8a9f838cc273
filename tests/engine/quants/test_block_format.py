"""Every block format: equal to the `gguf` package's decoder, its two readers agree, a wrong description is caught."""

from dataclasses import replace
from typing import Any

import gguf
import numpy as np
import pytest

from llamachat.engine.gguf import BY_NAME
from llamachat.engine.quants import BLOCK_FORMATS, FORMATS, STORED
from llamachat.engine.quants.format import BlockFormat, block_format
from llamachat.engine.quants.trees import Bits, Expr, Float, Half, Lookup, Num, Trits

N_BLOCKS = 500
ACTIVATIONS = {
    "Q8_1": np.dtype([("d", "<f2"), ("sum", "<f2"), ("q", "i1", 32)]),
    "Q8_K": np.dtype([("d", "<f4"), ("q", "i1", 256), ("sums", "<i2", 16)]),
}
BLOCKED = pytest.mark.parametrize("fmt", [one.source for one in STORED.values()], ids=lambda fmt: fmt.name)
NEWER = {  # than the package's decoders: bits of a code, block
    "Q1_0": (1, np.dtype([("d", "<f2"), ("q", "u1", 16)])),
    "Q2_0": (2, np.dtype([("d", "<f2"), ("q", "u1", 16)])),
    "Q2_0_128": (2, np.dtype([("d", "<f2"), ("q", "u1", 32)])),
}


def random_blocks(fmt: BlockFormat, n_blocks: int = N_BLOCKS, seed: int = 0) -> np.ndarray:
    """Every byte at random: also infinite, subnormal and NaN scales."""
    return np.random.default_rng([seed, fmt.block]).integers(0, 256, n_blocks * fmt.layout.itemsize, np.uint8)


def assert_same_bits(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal to the bit, except that one NaN is as good as another."""
    assert ours.dtype == theirs.dtype == np.float32
    assert ours.shape == theirs.shape
    nan = np.isnan(theirs)
    np.testing.assert_array_equal(np.isnan(ours), nan)
    np.testing.assert_array_equal(ours.view(np.uint32)[~nan], theirs.view(np.uint32)[~nan])


def theirs(name: str, data: np.ndarray) -> np.ndarray:
    if name in ACTIVATIONS:  # types of activations, for which the package has no decoder
        blocks = data.view(ACTIVATIONS[name])
        with np.errstate(all="ignore"):
            return (blocks["d"].astype(np.float32)[:, None] * blocks["q"].astype(np.float32)).ravel()
    if name in NEWER:
        bits, layout = NEWER[name]
        blocks, shifts = data.view(layout), range(0, 8, bits)
        codes = np.stack([blocks["q"] >> shift & (1 << bits) - 1 for shift in shifts], axis=-1).astype(np.float32)
        with np.errstate(all="ignore"):
            values = codes.reshape(len(blocks), -1) * (2 if bits == 1 else 1) - 1
            return (blocks["d"].astype(np.float32)[:, None] * values).astype(np.float32).ravel()
    with np.errstate(all="ignore"):
        return gguf.quants.dequantize(data, gguf.GGMLQuantizationType[name]).astype(np.float32)


@BLOCKED
def test_random_blocks_decode_as_in_the_gguf_package_to_the_bit(fmt: BlockFormat) -> None:
    data = random_blocks(fmt)
    assert_same_bits(fmt.decode(data), theirs(fmt.name, data))


@BLOCKED
def test_all_zeros_and_all_ones_decode_as_in_the_gguf_package(fmt: BlockFormat) -> None:
    for byte in (0, 255):
        data = np.full(fmt.layout.itemsize, byte, np.uint8)
        assert_same_bits(fmt.decode(data), theirs(fmt.name, data))


@BLOCKED
def test_more_blocks_than_one_chunk_decode_as_one(fmt: BlockFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    data = random_blocks(fmt, 7)
    whole = fmt.decode(data)
    monkeypatch.setattr("llamachat.engine.quants.format._CHUNK_WEIGHTS", 2 * fmt.block)
    assert_same_bits(fmt.decode(data), whole)


@BLOCKED
def test_no_blocks_are_no_weights(fmt: BlockFormat) -> None:
    assert fmt.decode(np.zeros(0, np.uint8)).shape == (0,)


@BLOCKED
def test_a_matrix_of_bytes_decodes_as_its_rows_one_after_the_other(fmt: BlockFormat) -> None:
    data = random_blocks(fmt, 6)
    assert_same_bits(fmt.decode(data.reshape(3, -1)), fmt.decode(data))


def reader_of_one(block: np.void) -> Any:
    """What a kernel does, in plain Python: number i of a leaf out of the block's bytes."""

    def read(leaf: Expr, i: int) -> int | float:
        if isinstance(leaf, Lookup):
            return int(leaf.table.entries[leaf.index.at(i // leaf.table.n, read), i % leaf.table.n])
        if isinstance(leaf, Half):
            return float(np.uint16(leaf.bits.at(0, read)).view(np.float16))
        assert isinstance(leaf, Num | Float | Bits | Trits)
        words = np.atleast_1d(block[leaf.field])
        if isinstance(leaf, Num):
            return words[i % len(words)].item()  # one number stands for a whole row
        if isinstance(leaf, Float):
            return small_float(leaf.kind, int(words[i % len(words)]))
        word, place = leaf.place(i)
        if isinstance(leaf, Trits):
            return (int(words[word]) * 3**place % 256) * 3 >> 8
        return int(words[word]) >> place & ((1 << leaf.bits) - 1)

    return read


def small_float(kind: str, byte: int) -> float:
    if kind == "e8m0":
        return 2.0 ** (byte - 128)
    exponent, mantissa = byte >> 3 & 15, byte & 7
    return 0.0 if byte == 0x7F else mantissa * 2.0**-10 if exponent == 0 else (8 + mantissa) * 2.0 ** (exponent - 11)


@BLOCKED
def test_one_value_at_a_time_is_what_all_at_once_are(fmt: BlockFormat) -> None:
    groups = fmt.block // fmt.group
    for seed in range(20):
        block = random_blocks(fmt, 1, seed).view(fmt.layout)
        for field in ("d", "dmin", "m"):
            if field in (fmt.layout.names or ()):
                block[field] = np.float16((seed - 9) / 7)
        read = reader_of_one(block[0])
        scale = [float(fmt.scale.at(i, read)) for i in range(groups)]
        offset = [float(fmt.offset.at(i, read)) if fmt.offset else 0.0 for i in range(groups)]
        q = [fmt.q.at(i, read) for i in range(fmt.block)]
        assert all(isinstance(one, int) for one in q)
        weights = [np.float32(scale[i // fmt.group]) * np.float32(q[i]) for i in range(fmt.block)]
        expected = [w + np.float32(offset[i // fmt.group]) for i, w in enumerate(weights)]
        np.testing.assert_array_equal(fmt.decode(block.view(np.uint8)), np.array(expected, np.float32))


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=lambda fmt: fmt.name)
def test_the_layout_has_the_size_that_files_have(fmt: Any) -> None:
    assert (fmt.block, fmt.layout.itemsize) == (BY_NAME[fmt.name].block, BY_NAME[fmt.name].bytes)
    if fmt.name != "Q8_1" and "Q2_0" not in fmt.name:  # the package says 40, ggml 36, and the package is older
        assert gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[fmt.name]] == (fmt.block, fmt.layout.itemsize)


WRONG = [
    pytest.param({"q": Bits("qs", 2, 16)}, "q does not have 32 values", id="too many values"),
    pytest.param({"q": Num("qs")}, "q does not have 32 values", id="too few values"),
    pytest.param({"scale": Num("qs")}, "16 scales, not 1 or 1", id="too many scales"),
    pytest.param({"offset": Num("qs")}, "16 offsets, not 1 or 1", id="too many offsets"),
    pytest.param({"group": 24}, "groups of 24 do not divide 32", id="groups that do not divide the block"),
    pytest.param({"layout": np.dtype([("d", "<f4"), ("m", "<f2"), ("qs", "u1", 16)])}, "not GgmlType", id="size"),
    pytest.param({"name": "Q8_0"}, "Q8_0: not GgmlType", id="another format's name"),
]


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_a_wrong_description_is_caught_when_it_is_written(change: dict[str, Any], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        replace(BLOCK_FORMATS["Q4_1"], **change)


def test_a_right_description_is_accepted() -> None:
    layout: list[tuple[Any, ...]] = [("d", "<f2"), ("qs", "u1", 16)]
    made = block_format("Q4_0", layout, 32, 32, q=Bits("qs", 4, 16) - 8, scale=Num("d"))
    assert made == BLOCK_FORMATS["Q4_0"]
