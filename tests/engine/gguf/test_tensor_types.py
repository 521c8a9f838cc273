"""Types that a reader must see through: interleaved rows, one number for two sizes of blocks; vectors of any type."""

import struct
from pathlib import Path

import numpy as np
import pytest
from gguf_bytes import text
from own_files import llama_shapes, write_random

from llamachat.engine.gguf import BY_NAME, GgufFile, open_gguf, write_gguf
from llamachat.engine.gguf.reader import parse
from llamachat.engine.model import Model
from llamachat.engine.quants import FORMATS
from llamachat.engine.quants.tensors import decode, read
from llamachat.errors import LlamaChatError, Unsupported

INTERLEAVED = [
    pytest.param("Q4_0", 31, 4, 4, 0x88, id="Q4_0_4_4"),
    pytest.param("Q4_0", 32, 4, 8, 0x88, id="Q4_0_4_8"),
    pytest.param("Q4_0", 33, 8, 8, 0x88, id="Q4_0_8_8"),
    pytest.param("IQ4_NL", 36, 4, 4, 0, id="IQ4_NL_4_4"),
]
RNG = np.random.default_rng(4)


def together(rows: np.ndarray, n: int, chunk: int, flip: int) -> bytes:
    """Rows of blocks, uint8 [n_rows, n_blocks, 18], byte by byte as the converters of 2024 wrote them."""
    out = bytearray()
    for first in range(0, len(rows), n):
        for block in range(rows.shape[1]):
            some = rows[first : first + n, block]
            out += b"".join(bytes(one[:2]) for one in some)
            for i in range(n * 16):
                out.append(int(some[i // chunk % n, 2 + i // (n * chunk) * chunk + i % chunk]) ^ flip)
    return bytes(out)


def as_type(path: Path, changes: dict[str, tuple[int, bytes]]) -> Path:
    """The file with other type numbers and bytes of some tensors."""
    file, content = open_gguf(path), bytearray(path.read_bytes())
    for name, (number, data) in changes.items():
        tensor = file.tensors[name]
        place = file.place(tensor)
        assert place is not None
        content[place[1] : place[1] + tensor.n_bytes] = data
        at = content.index(text(name)) + len(text(name)) + 4 + 8 * len(tensor.shape)
        content[at : at + 4] = struct.pack("<I", number)
    other = path.with_name("other.gguf")
    other.write_bytes(content)
    return other


@pytest.mark.parametrize(("kind", "number", "n", "chunk", "flip"), INTERLEAVED)
def test_interleaved_rows_are_read_apart(tmp_path: Path, kind: str, number: int, n: int, chunk: int, flip: int) -> None:
    data = RNG.integers(0, 256, (3, 16, 2, 18), np.uint8)
    write_gguf(tmp_path / "plain.gguf", {}, [("t", kind, (3, 16, 64), data)])
    file = open_gguf(
        as_type(tmp_path / "plain.gguf", {"t": (number, together(data.reshape(48, 2, 18), n, chunk, flip))})
    )
    tensor, rows = file.tensors["t"], data.reshape(48, 36)
    assert (tensor.type.name, tensor.n_bytes, file.place(tensor)) == (kind, data.size, None)
    np.testing.assert_array_equal(tensor.rows, data.ravel())
    np.testing.assert_array_equal(read(file, tensor), data.ravel())
    for first, size in ((0, 1), (7, 100), (36 * 9 + 5, 36 * 11), (data.size - 3, 3)):
        part = np.empty(size, np.uint8)
        file.read(tensor, first, part)
        np.testing.assert_array_equal(part, data.ravel()[first : first + size])
    some = np.empty((3, 36), np.uint8)
    file.read_rows(tensor, [47, 0, 9], some)
    np.testing.assert_array_equal(some, rows[[47, 0, 9]])
    from_memory = parse(file.path.read_bytes(), file.path)
    from_memory.read_rows(from_memory.tensors["t"], [1, 46, 2], some)
    np.testing.assert_array_equal(some, rows[[1, 46, 2]])


@pytest.mark.parametrize("shape", [(32,), (6, 32), (2, 6, 32)])
def test_interleaved_rows_that_make_no_groups_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    data = np.zeros(int(np.prod(shape)) // 32 * 18, np.uint8)
    write_gguf(tmp_path / "plain.gguf", {}, [("t", "Q4_0", shape, data)])
    with pytest.raises(LlamaChatError, match=r"t: has the shape \[.*\], but rows interleaved by 4"):
        open_gguf(as_type(tmp_path / "plain.gguf", {"t": (31, data.tobytes())}))


def four_bits(name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """Matrices in Q4_0, vectors in types that weights seldom have."""
    if values.ndim == 1:
        return ("F64", values.astype("<f8").view(np.uint8)) if "attn" in name else ("F32", values.view(np.uint8))
    blocks = RNG.integers(0, 256, values.size // 32 * 18, np.uint8).view(FORMATS["Q4_0"].layout)
    blocks["d"] = RNG.uniform(0.005, 0.02, len(blocks))
    return "Q4_0", blocks.view(np.uint8)


SIZES = {
    "context_length": 64,
    "embedding_length": 64,
    "block_count": 1,
    "feed_forward_length": 96,
    "attention.head_count": 2,
    "attention.layer_norm_rms_epsilon": 1e-5,
}


def logits(path: Path) -> np.ndarray:
    with Model(path, 2) as model:
        return model.context(32).eval([1, 5, 9, 3], "all")


def test_a_model_with_interleaved_rows_gives_the_bits_of_the_same_one_without(tmp_path: Path) -> None:
    path = write_random(tmp_path / "plain.gguf", "llama", SIZES, llama_shapes(40, 64, 96, 1), four_bits)
    changes = {}
    for name, tensor in open_gguf(path).tensors.items():
        if len(tensor.shape) == 2:
            rows = tensor.data.reshape(tensor.shape[0], -1, 18)
            n, number = (8, 33) if "ffn" in name else (4, 31)
            changes[name] = number, together(rows, n, n if n == 8 else 4, 0x88)
    np.testing.assert_array_equal(logits(as_type(path, changes)), logits(path))


def test_matrices_of_integers_are_refused_and_vectors_are_read(tmp_path: Path) -> None:
    def encode(name: str, values: np.ndarray) -> tuple[str, np.ndarray]:
        if "attn_q" in name:
            return "I8", np.ones(values.shape, np.int8)
        return four_bits(name, values)

    path = write_random(tmp_path / "m.gguf", "llama", SIZES, llama_shapes(40, 64, 96, 1), encode)
    with pytest.raises(Unsupported, match=r"attn_q.weight: block type I8 cannot be computed with yet"):
        logits(path)


@pytest.mark.parametrize(
    ("kind", "code"), [("F64", "<f8"), ("I8", "i1"), ("I16", "<i2"), ("I32", "<i4"), ("I64", "<i8")]
)
def test_vectors_of_numbers_are_decoded(tmp_path: Path, kind: str, code: str) -> None:
    values = np.array([-3, 0, 100, 7]).astype(code)
    write_gguf(tmp_path / "v.gguf", {}, [("t", kind, (4,), values)])
    tensor = open_gguf(tmp_path / "v.gguf").tensors["t"]
    np.testing.assert_array_equal(decode(tensor), np.array([-3, 0, 100, 7], np.float32))


def test_a_number_beyond_float32_is_an_error(tmp_path: Path) -> None:
    write_gguf(tmp_path / "v.gguf", {}, [("t", "F64", (1,), np.array([1e300]))])
    with pytest.raises(LlamaChatError, match="t: holds values that are not finite"):
        decode(open_gguf(tmp_path / "v.gguf").tensors["t"])


def two_bits(path: Path, kind: str, shapes: list[tuple[int, int]]) -> GgufFile:
    block = BY_NAME[kind].block
    tensors = [
        (str(i), kind, shape, np.zeros(shape[0] * shape[1] // block * (2 + block // 4), np.uint8))
        for i, shape in enumerate(shapes)
    ]
    write_gguf(path, {}, [*tensors, ("last", "F32", (3,), np.zeros(3, np.float32))])
    return open_gguf(path)


@pytest.mark.parametrize("kind", ["Q2_0", "Q2_0_128"])
def test_two_sizes_of_blocks_with_one_number_are_told_apart(tmp_path: Path, kind: str) -> None:
    file = two_bits(tmp_path / "two.gguf", kind, [(64, 256), (16, 512), (3, 128)])
    assert {file.tensors[str(i)].type.name for i in range(3)} == {kind}
    assert file.tensors["1"].n_bytes == file.tensors["1"].rows.size


def test_where_both_sizes_fit_blocks_are_ggml_s(tmp_path: Path) -> None:
    file = two_bits(tmp_path / "two.gguf", "Q2_0", [(1, 128)])
    assert file.tensors["0"].type.bytes == 18
