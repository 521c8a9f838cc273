"""What the writer writes the reader reads, and both agree with the `gguf` package."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf_bytes import ARRAY, BOOL, CODES, STRING, U8, U16, array, gguf_bytes, nested, scalar
from golden_data import needed

from llamachat.engine.gguf import BY_NAME, TYPES, copied, open_gguf, parse, write_gguf
from llamachat.errors import UsageError

NUMBERS = [kind for kind in CODES if kind != BOOL]


def metadata_of(path: Path) -> dict[str, object]:
    return dict(open_gguf(path).metadata)


def f32(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape).normal(size=shape).astype("<f4").view(np.uint8).ravel()


VALUES = [
    *[pytest.param(value, id=str(value)) for value in (0, 1, 2**32 - 1, 2**32, 2**64 - 1, -1, -(2**31), -(2**63))],
    *[pytest.param(value, id=f"{value!r}") for value in (True, False, 0.5, -0.0, float("inf"))],
    *[pytest.param(value, id=f"text {value[:9]!a}") for value in ("", "a", "Größe 漢字 🦙", "a\0b\n", "x" * 10_000)],
    *[pytest.param(value, id=f"texts {value!a}") for value in ([], [""], ["a", "", "ü"])],
]


@pytest.mark.parametrize("value", VALUES)
def test_a_value_comes_back_with_its_type(value: object, tmp_path: Path) -> None:
    write_gguf(tmp_path / "a.gguf", {"a.key": value}, [])
    read = metadata_of(tmp_path / "a.gguf")["a.key"]
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize("code", ["u1", "i1", "<u2", "<i2", "<u4", "<i4", "<f4", "?", "<u8", "<i8", "<f8"])
@pytest.mark.parametrize("count", [0, 1, 1000])
def test_an_array_of_every_type_comes_back(code: str, count: int, tmp_path: Path) -> None:
    values = np.random.default_rng(4).integers(0, 100, count).astype(code)
    write_gguf(tmp_path / "a.gguf", {"an.array": values, "after": 7}, [])
    read = metadata_of(tmp_path / "a.gguf")
    assert isinstance(read["an.array"], np.ndarray)
    assert read["an.array"].dtype == values.dtype
    np.testing.assert_array_equal(read["an.array"], values)
    assert read["after"] == 7


@pytest.mark.parametrize("code", ["u1", "i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "<f4", "<f8"])
def test_a_numpy_scalar_keeps_its_width(code: str, tmp_path: Path) -> None:
    write_gguf(tmp_path / "a.gguf", {"a.number": np.dtype(code).type(100)}, [])
    field = gguf.GGUFReader(tmp_path / "a.gguf").fields["a.number"]
    assert field.parts[field.data[0]].dtype == np.dtype(code)
    assert metadata_of(tmp_path / "a.gguf")["a.number"] == 100


@pytest.mark.parametrize("kind", NUMBERS)
def test_scalars_of_every_type_are_read(kind: int) -> None:
    content = gguf_bytes([("a.number", scalar(kind, 100))], infos=())
    assert parse(content, Path("a.gguf")).metadata["a.number"] == 100


def test_a_truth_value_is_no_number() -> None:
    pairs = [("yes", scalar(BOOL, 1)), ("no", scalar(BOOL, 0)), ("both", array(BOOL, [1, 0]))]
    metadata = parse(gguf_bytes(pairs, infos=()), Path("a.gguf")).metadata
    assert metadata["yes"] is True
    assert metadata["no"] is False
    assert np.asarray(metadata["both"]).dtype == bool


def test_nested_arrays_are_read() -> None:
    pairs = [("a", nested(3, array(U16, [1, 2]))), ("b", nested(1, array(STRING, ["x", ""]))), ("c", scalar(U8, 3))]
    metadata: Any = parse(gguf_bytes(pairs, infos=()), Path("a.gguf")).metadata
    np.testing.assert_array_equal(metadata["a"][0][0][0], [1, 2])
    assert metadata["b"] == [["x", ""]]
    assert metadata["c"] == 3


def test_an_empty_array_of_arrays_is_an_empty_list() -> None:
    content = gguf_bytes([("a", array(ARRAY, [])), ("b", scalar(U8, 3))], infos=())
    assert dict(parse(content, Path("a.gguf")).metadata) == {"a": [], "b": 3}


def test_text_that_is_not_utf8_has_replacement_characters() -> None:
    pairs = [("text", scalar(STRING, b"a\xff")), ("texts", array(STRING, [b"\xc3", "b"]))]
    metadata = parse(gguf_bytes(pairs, infos=()), Path("a.gguf")).metadata
    assert (metadata["text"], metadata["texts"]) == ("a\ufffd", ["\ufffd", "b"])


def test_arrays_are_read_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = parse(gguf_bytes([("texts", array(STRING, ["a"] * 3))], infos=()), Path("a.gguf")).metadata
    monkeypatch.setattr(type(metadata), "_strings", None)
    assert "texts" in metadata
    assert list(metadata) == ["texts"]
    with pytest.raises(TypeError):
        metadata["texts"]


@pytest.mark.parametrize("kind", TYPES.values(), ids=lambda kind: kind.name)
def test_a_tensor_of_every_type_comes_back(kind: Any, tmp_path: Path) -> None:
    data = np.random.default_rng(kind.id).integers(0, 256, 6 * kind.bytes, np.uint8)
    write_gguf(tmp_path / "a.gguf", {}, [("a", kind.name, (3, 2 * kind.block), data), ("b", "F32", (2,), f32(2))])
    tensors = open_gguf(tmp_path / "a.gguf").tensors
    assert list(tensors) == ["a", "b"]
    assert (tensors["a"].type, tensors["a"].shape, tensors["a"].n_bytes) == (kind, (3, 2 * kind.block), len(data))
    np.testing.assert_array_equal(tensors["a"].data, data)
    np.testing.assert_array_equal(tensors["b"].data, f32(2))


def test_sizes_of_all_types_are_those_of_the_gguf_package() -> None:
    theirs = {kind.name: (kind.value, *gguf.GGML_QUANT_SIZES[kind]) for kind in gguf.GGMLQuantizationType}
    # Activations only, never in a file; ggml's block_q8_1 has two halves, the package counts two floats.
    theirs["Q8_1"] = (9, 32, 36)
    ours = {name: (kind.id, kind.block, kind.bytes) for name, kind in BY_NAME.items()}
    assert {name: ours.get(name) for name in theirs} == theirs


@pytest.mark.parametrize("alignment", [1, 8, 64, 4096])
def test_another_alignment_is_kept(alignment: int, tmp_path: Path) -> None:
    entries = [(name, "F32", (3,), f32(3)) for name in "abc"]
    write_gguf(tmp_path / "a.gguf", {"general.alignment": alignment}, entries)
    tensors = open_gguf(tmp_path / "a.gguf").tensors
    assert all(bytes(one.data) == bytes(f32(3)) for one in tensors.values())
    assert [t.data.tolist() for t in gguf.GGUFReader(tmp_path / "a.gguf").tensors] == [f32(3).view("<f4").tolist()] * 3


REFUSED = [
    pytest.param({"k": None}, [], "k: a value of type NoneType", id="None"),
    pytest.param({"k": 2**64}, [], "k: a value of type int", id="65 bits"),
    pytest.param({"k": [1, 2]}, [], "k: a value of type list", id="list of numbers"),
    pytest.param({"k": np.zeros((2, 2), np.float32)}, [], "k: a value of type ndarray", id="matrix"),
    pytest.param({"k": np.zeros(2, np.complex64)}, [], "k: a value of type ndarray", id="complex"),
    pytest.param({"general.alignment": 24}, [], "24 is not a power of two", id="alignment"),
    pytest.param({}, [("t", "F32", (3,), f32(2))], "t: 8 bytes, but F32 of shape [3] has 12", id="size"),
    pytest.param({}, [("t", "Q4_0", (2, 16), f32(2))], "t: rows of 16 are not whole blocks of Q4_0", id="blocks"),
    pytest.param({}, [("t", "Q9_9", (3,), f32(3))], "t: GGUF has no tensor type Q9_9", id="type"),
]


@pytest.mark.parametrize(("metadata", "tensors", "words"), REFUSED)
def test_what_gguf_cannot_say_is_refused_and_leaves_no_file(
    metadata: dict[str, object], tensors: list[Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        write_gguf(tmp_path / "a.gguf", metadata, tensors)
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    write_gguf(tmp_path / "a.gguf", {"k": 1}, [])
    with pytest.raises(UsageError):
        write_gguf(tmp_path / "a.gguf", {"k": None}, [])
    assert metadata_of(tmp_path / "a.gguf") == {"k": 1}


def test_the_gguf_package_reads_what_we_write(tmp_path: Path) -> None:
    metadata = {"general.architecture": "llama", "n": 3, "x": 0.5, "list": ["a", "ü"], "w": np.arange(3, dtype="<i4")}
    entries = [("m", "F32", (4, 8), f32(4, 8)), ("v", "F32", (5,), f32(5))]
    write_gguf(tmp_path / "a.gguf", metadata, entries)
    reader = gguf.GGUFReader(tmp_path / "a.gguf")
    read = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    assert read == {**metadata, "w": [0, 1, 2]}
    assert {t.name: (t.data.shape, bytes(t.data)) for t in reader.tensors} == {
        name: (tuple(shape), bytes(data)) for name, _, shape, data in entries
    }


GOLDEN = ["llama", "gemma3", "gpt-oss", "deepseek2", "t5", "bert", "rwkv7", "jamba", "bitnet"]


def assert_agreement(path: Path) -> None:
    """Names, order, shapes, types, bytes and metadata are those that the `gguf` package reads."""
    ours, theirs = open_gguf(path), gguf.GGUFReader(path)
    assert list(ours.tensors) == [t.name for t in theirs.tensors]
    for tensor in theirs.tensors:
        one = ours.tensors[tensor.name]
        assert one.shape == tuple(int(n) for n in reversed(tensor.shape))
        assert (one.type.name, one.n_bytes) == (tensor.tensor_type.name, int(tensor.n_bytes))
        np.testing.assert_array_equal(one.data, tensor.data.view(np.uint8).ravel())
    fields = {name: field for name, field in theirs.fields.items() if not name.startswith("GGUF.")}
    assert list(ours.metadata) == list(fields)
    for name, field in fields.items():
        value = ours.metadata[name]
        assert (value.tolist() if isinstance(value, np.ndarray) else value) == field.contents(), name


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_models_read_as_in_the_gguf_package(name: str, golden: Path) -> None:
    assert_agreement(needed(golden / "archs" / f"{name}.gguf"))


def test_a_golden_vocabulary_reads_as_in_the_gguf_package(golden: Path) -> None:
    assert_agreement(golden / "tokenizers" / "ggml-vocab-bert-bge.gguf")


@pytest.mark.real
def test_a_real_model_reads_as_in_the_gguf_package(smollm2: Path) -> None:
    assert_agreement(smollm2)


def test_a_golden_model_written_again_is_the_same_model(golden: Path, tmp_path: Path) -> None:
    first = open_gguf(golden / "archs" / "gemma3.gguf")
    entries = [(t.name, t.type.name, t.shape, t.data) for t in first.tensors.values()]
    write_gguf(tmp_path / "again.gguf", first.metadata, entries)
    assert_agreement(tmp_path / "again.gguf")
    again = open_gguf(tmp_path / "again.gguf")
    assert all(bytes(again.tensors[name].data) == bytes(t.data) for name, t in first.tensors.items())
    assert str(dict(again.metadata)) == str(dict(first.metadata))


def test_version_2_is_read() -> None:
    assert parse(gguf_bytes(version=2), Path("a.gguf")).version == 2


def test_released_pages_are_read_again(tmp_path: Path) -> None:
    data = np.random.default_rng(5).integers(0, 256, 1 << 18, np.uint8)
    write_gguf(tmp_path / "a.gguf", {}, [("a", "I8", (4,), data[:4]), ("b", "I8", (1 << 18,), data)])
    file = open_gguf(tmp_path / "a.gguf")
    for name in ("a", "b", "b"):
        file.release(file.tensors[name])
    assert bytes(file.tensors["b"].data) == bytes(data)
    assert bytes(file.tensors["a"].data) == bytes(data[:4])


def test_data_outlives_the_file_object_and_cannot_be_written(tmp_path: Path) -> None:
    write_gguf(tmp_path / "a.gguf", {}, [("a", "F32", (5,), f32(5))])
    data = open_gguf(tmp_path / "a.gguf").tensors["a"].data
    assert bytes(data) == bytes(f32(5))
    with pytest.raises(ValueError, match="read-only"):
        data[0] = 1


def test_copied_metadata_keep_types_and_texts_to_the_bit(tmp_path: Path) -> None:
    names = [b"\xff not UTF-8", b"fine"]
    values = {
        "a.small": np.uint16(7),
        "a.wide": np.int64(3),
        "a.real": np.float64(0.1),
        "a.texts": names,
        "a.yes": True,
    }
    write_gguf(tmp_path / "a.gguf", {"general.architecture": "llama", "general.alignment": 64, **values}, [])
    first = open_gguf(tmp_path / "a.gguf")
    write_gguf(tmp_path / "b.gguf", copied(first.metadata) | {"a.more": 1}, [])
    second = open_gguf(tmp_path / "b.gguf")
    assert [*second.metadata] == [*first.metadata, "a.more"]
    for key in set(first.metadata) - {"general.alignment"}:
        assert second.metadata.raw(key) == first.metadata.raw(key)
    assert second.metadata["general.alignment"] == 64
