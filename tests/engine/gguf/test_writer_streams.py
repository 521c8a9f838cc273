"""The writer makes tensors one by one: their data are asked for in their turn, and memory is that of one tensor."""

import os
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import pytest
from memory_peak import measurable, peak_memory

from llamachat.engine.gguf import file_bytes, open_gguf, tensor_bytes, write_gguf
from llamachat.errors import UsageError

SIZE = 1 << 20
METADATA = {"general.architecture": "llama"}


def numbers(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(4, SIZE // 4)).astype(np.float32)


@measurable
def test_memory_is_that_of_one_tensor(tmp_path: Path) -> None:
    entries = [(f"t{i}", "F32", (4, SIZE // 4), lambda i=i: numbers(i)) for i in range(16)]
    with peak_memory() as peak:
        write_gguf(tmp_path / "a.gguf", METADATA, entries)
    one = tensor_bytes("F32", (4, SIZE // 4))
    assert one // 4 < peak.bytes < 5 * one  # some memory is reused; random numbers are made in float64
    tensors = open_gguf(tmp_path / "a.gguf").tensors
    assert all(np.array_equal(tensors[f"t{i}"].data, numbers(i).view(np.uint8).ravel()) for i in (0, 7, 15))


def test_data_may_come_in_pieces_of_any_type(tmp_path: Path) -> None:
    whole = numbers(1)

    def rows() -> Iterator[np.ndarray]:
        yield from whole

    entries = [
        ("rows", "F32", whole.shape, rows), ("list", "F32", whole.shape, [whole[:1], whole[1:]]),
        ("turned", "F32", whole.shape, lambda: np.asfortranarray(whole)), ("whole", "F32", whole.shape, whole),
    ]  # fmt: skip
    write_gguf(tmp_path / "a.gguf", METADATA, entries)
    for tensor in open_gguf(tmp_path / "a.gguf").tensors.values():
        np.testing.assert_array_equal(tensor.data, whole.view(np.uint8).ravel(), err_msg=tensor.name)


def test_data_are_asked_for_once_in_order_when_what_is_before_is_written(tmp_path: Path) -> None:
    asked: list[tuple[str, int]] = []

    def data(name: str) -> np.ndarray:
        asked.append((name, os.path.getsize(tmp_path / "a.gguf.part")))
        return np.zeros(SIZE, np.uint8)

    write_gguf(tmp_path / "a.gguf", METADATA, [(name, "I8", (SIZE,), lambda name=name: data(name)) for name in "cab"])
    assert [name for name, _ in asked] == ["c", "a", "b"]
    assert all(size >= n * SIZE for n, (_, size) in enumerate(asked))


@pytest.mark.parametrize("alignment", [1, 32, 4096])
def test_the_size_is_known_before_the_data(alignment: int, tmp_path: Path) -> None:
    metadata = METADATA | {"general.alignment": alignment, "words": ["a", "bc"]}
    some = [("a", "Q4_0", (3, 32), 54), ("b", "F16", (5,), 10), ("c", "I8", (1,), 1)]
    entries = [(name, kind, shape, lambda n=n: np.ones(n, np.uint8)) for name, kind, shape, n in some]
    write_gguf(tmp_path / "a.gguf", metadata, entries)
    assert os.path.getsize(tmp_path / "a.gguf") == file_bytes(metadata, entries)
    assert os.path.getsize(tmp_path / "a.gguf") % alignment == 0
    assert [int(t.n_bytes) for t in gguf.GGUFReader(tmp_path / "a.gguf").tensors] == [n for *_, n in some]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(lambda: np.zeros(3, np.uint8), "a: the data have 3 bytes, not 4", id="fewer"),
        pytest.param(lambda: np.zeros(5, np.uint8), "a: the data have more bytes, not 4", id="more"),
        pytest.param(lambda: [np.zeros(3, np.uint8)] * 2, "a: the data have more bytes, not 4", id="more pieces"),
        pytest.param(list, "a: the data have 0 bytes, not 4", id="nothing"),
    ],
)
def test_data_of_another_size_are_refused_and_the_old_file_stays(data, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    write_gguf(path, METADATA, [])
    before = path.read_bytes()
    with pytest.raises(UsageError) as caught:
        write_gguf(path, METADATA, [("a", "F32", (1,), data), ("b", "F32", (1,), np.zeros(4, np.uint8))])
    assert str(caught.value) == words
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (before, [path])


def test_what_a_function_raises_ends_the_writing(tmp_path: Path) -> None:
    def data() -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_gguf(tmp_path / "a.gguf", METADATA, [("a", "F32", (1,), data)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([("a", "I8", (1,), np.zeros(1, np.uint8))] * 2, "a: two tensors have this name"),
        ([("a", "I8", (), np.zeros(1, np.uint8))], "a: [] is not a shape of 1 to 4 dimensions"),
        ([("a", "I8", (1, 1, 1, 1, 1), np.zeros(1, np.uint8))], "is not a shape of 1 to 4 dimensions"),
        ([("a", "I8", (0,), np.zeros(0, np.uint8))], "a: [0] is not a shape of 1 to 4 dimensions"),
    ],
)
def test_tensors_that_no_file_can_have_are_refused(entries, words: str, tmp_path: Path) -> None:
    for call in (lambda: write_gguf(tmp_path / "a.gguf", METADATA, entries), lambda: file_bytes(METADATA, entries)):
        with pytest.raises(UsageError) as caught:
            call()
        assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []
