"""Models in several files: joined by name, whichever part is named, and only if all of them fit together."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.errors import ModelFileError

COUNT = 3


def part(folder: Path, number: int, **changes: Any) -> Path:
    """Part `number`, from 1, of a model with two tensors in each."""
    metadata = {"split.no": np.uint16(number - 1), "split.count": np.uint16(COUNT), "split.tensors.count": 2 * COUNT}
    if number == 1:
        metadata |= {"general.architecture": "llama"}
    metadata |= {key.replace("_", "."): value for key, value in changes.items() if key != "tensors"}
    names = changes.get("tensors", [f"t{number}.a", f"t{number}.b"])
    entries = [(name, "I8", (5,), np.full(5, 10 * number + i, np.uint8)) for i, name in enumerate(names)]
    path = folder / f"model-{number:05d}-of-{COUNT:05d}.gguf"
    write_gguf(path, metadata, entries)
    return path


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    return [part(tmp_path, number) for number in range(1, COUNT + 1)]


@pytest.mark.parametrize("named", range(COUNT))
def test_any_part_opens_the_whole_model(named: int, parts: list[Path]) -> None:
    file = open_gguf(parts[named])
    assert file.path == parts[0]
    assert list(file.tensors) == ["t1.a", "t1.b", "t2.a", "t2.b", "t3.a", "t3.b"]
    assert [int(t.data[0]) for t in file.tensors.values()] == [10, 11, 20, 21, 30, 31]
    assert file.metadata["general.architecture"] == "llama"
    assert file.n_bytes == sum(path.stat().st_size for path in parts)


def test_tensors_of_every_part_are_released_and_read_again(parts: list[Path]) -> None:
    file = open_gguf(parts[0])
    for tensor in file.tensors.values():
        file.release(tensor)
    assert [int(t.data[4]) for t in file.tensors.values()] == [10, 11, 20, 21, 30, 31]


@pytest.mark.parametrize("missing", range(COUNT))
def test_a_missing_part_is_named(missing: int, parts: list[Path]) -> None:
    parts[missing].unlink()
    with pytest.raises(ModelFileError) as caught:
        open_gguf(parts[(missing + 1) % COUNT])
    assert str(caught.value) == f"{parts[missing]}: part {missing + 1} of 3 of the split model is missing"


def test_a_broken_part_is_named(parts: list[Path]) -> None:
    parts[1].write_bytes(parts[1].read_bytes()[:-32])
    with pytest.raises(ModelFileError, match=r"model-00002-of-00003\.gguf: t2\.b: lies beyond the end"):
        open_gguf(parts[0])


def test_a_single_file_has_no_other_parts(tmp_path: Path) -> None:
    write_gguf(tmp_path / "one-00001-of-00001.gguf", {"k": 1}, [])
    assert open_gguf(tmp_path / "one-00001-of-00001.gguf").metadata["k"] == 1


WRONG = [
    pytest.param(2, {"tensors": ["t1.a", "x"]}, "00002-of-00003.gguf: t1.a: the tensor is in two parts", id="twice"),
    pytest.param(3, {"tensors": ["t3.a"]}, "says that the model has 6 tensors, its parts have 5", id="one is gone"),
    pytest.param(2, {"split_count": 4}, "split.count: says that the model has 4 parts, its name says 3", id="count"),
    pytest.param(3, {"split_no": 0}, "split.no: says that it is part 1, its name says 3", id="another part's number"),
    pytest.param(2, {"split_count": "three"}, "split.count: is three, not a number", id="a text"),
    pytest.param(1, {"split_count": np.arange(3)}, "split.count: is an array, not a number", id="an array"),
    pytest.param(1, {"split_no": True}, "split.no: is True, not a number", id="a truth value"),
]


@pytest.mark.parametrize(("number", "changes", "words"), WRONG)
def test_parts_that_do_not_fit_together_are_refused(
    number: int, changes: dict[str, Any], words: str, parts: list[Path]
) -> None:
    part(parts[0].parent, number, **changes)
    with pytest.raises(ModelFileError) as caught:
        open_gguf(parts[0])
    assert words in str(caught.value)


def test_a_part_without_its_name_says_what_is_wrong(parts: list[Path]) -> None:
    renamed = parts[0].rename(parts[0].with_name("model.gguf"))
    with pytest.raises(ModelFileError, match="is one of 3 parts of a model; give the parts their names back"):
        open_gguf(renamed)


@pytest.mark.parametrize("name", ["m-00000-of-00002.gguf", "m-00003-of-00002.gguf"])
def test_an_impossible_part_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be"):
        open_gguf(tmp_path / name)
