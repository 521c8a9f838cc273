"""A model's file that is cut or changed while it is in use: a sentence, or the right result; never a signal."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from llamachat import Model
from llamachat.engine.gguf import open_gguf
from llamachat.engine.gguf.fingerprint import fingerprint
from llamachat.engine.gguf.reader import FIRST_READ, parse
from llamachat.engine.gguf.writer import write_gguf
from llamachat.errors import ModelFileError

TOLD = "was cut or changed while it was in use"


@pytest.fixture
def path(golden: Path, tmp_path: Path) -> Path:
    """A model of our own, to be damaged."""
    copied = tmp_path / "model.gguf"
    shutil.copyfile(golden / "archs" / "llama.gguf", copied)
    return copied


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def halved(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def rewritten(path: Path) -> None:
    """Other bytes in the same file, of the same size, a second later."""
    status = path.stat()
    with open(path, "r+b") as file:
        file.write(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))


CHANGES = [emptied, halved, rewritten]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_changed_between_two_steps(change: Callable[[Path], None], path: Path) -> None:
    with Model(path, threads=1) as model:
        context = model.context(n_ctx=64)
        context.eval([1])
        change(path)
        with pytest.raises(ModelFileError, match=TOLD):
            context.eval([60, 5, 40])
        assert context.tokens == [1]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_is_changed_while_it_is_loaded(change: Callable[[Path], None], path: Path) -> None:
    with pytest.raises(ModelFileError, match=TOLD):
        Model(path, threads=1, progress=lambda what, done, total: change(path))


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_read_of_the_header_stays(change: Callable[[Path], None], golden: Path, tmp_path: Path) -> None:
    copied = tmp_path / "vocabulary.gguf"
    shutil.copyfile(golden / "tokenizers" / "ggml-vocab-phi-3.gguf", copied)
    file, whole = open_gguf(copied), open_gguf(golden / "tokenizers" / "ggml-vocab-phi-3.gguf")
    change(copied)
    for key, value in whole.metadata.items():
        np.testing.assert_array_equal(file.metadata[key], value)  # type: ignore[arg-type]


@pytest.mark.parametrize("change", CHANGES)
def test_a_fingerprint_of_two_files_is_refused(change: Callable[[Path], None], path: Path) -> None:
    file = open_gguf(path)
    change(path)
    with pytest.raises(ModelFileError, match=TOLD):
        fingerprint(file)


def test_another_file_in_its_place_changes_nothing(path: Path) -> None:
    """As downloads and editors do it: the name means another file, the open one stays."""
    with Model(path, threads=1) as model:
        before = model.context(n_ctx=64).eval([1, 60, 5])
        other = path.with_name("other")
        other.write_bytes(b"other")
        os.replace(other, path)
        np.testing.assert_array_equal(model.context(n_ctx=64).eval([1, 60, 5]), before)


def test_a_header_longer_than_the_first_read_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "long.gguf"
    texts = ["x" * 1000] * (2 * FIRST_READ // 1000)
    metadata = {"general.architecture": "llama", "a": texts, "b": np.arange(FIRST_READ, dtype=np.int32), "c": "end"}
    write_gguf(path, metadata, [("t", "F32", (2, 4), np.arange(32, dtype=np.uint8))])
    file = open_gguf(path)
    assert file.metadata["a"] == texts
    np.testing.assert_array_equal(file.metadata["b"], metadata["b"])  # type: ignore[arg-type]
    assert file.metadata["c"] == "end"
    assert bytes(file.tensors["t"].data) == bytes(range(32))


def test_a_header_is_read_the_same_however_much_of_it_is_read_at_first(golden: Path) -> None:
    path = golden / "archs" / "llama.gguf"
    content = path.read_bytes()
    whole = parse(content, path)
    sizes: list[int] = []

    def read(n_bytes: int) -> bytes:
        sizes.append(n_bytes)
        return content[:n_bytes]

    found = parse(content, path, read)
    assert len(sizes) > 10
    assert sizes == sorted(set(sizes))
    assert sizes[-1] <= len(content)
    assert list(found.metadata) == list(whole.metadata)
    assert {name: bytes(one.data) for name, one in found.tensors.items()} == {
        name: bytes(one.data) for name, one in whole.tensors.items()
    }
