"""Checksums: of the bytes of tensors, and compared with those of before."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.errors import UsageError
from llamachat.prepare.hashing import checksums, read_manifest


@pytest.fixture
def source(tmp_path: Path) -> Path:
    tensors = [(name, "I8", (32,), np.full(32, i, np.uint8)) for i, name in enumerate(("a", "b"))]
    write_gguf(tmp_path / "model.gguf", {}, tensors)
    return tmp_path / "model.gguf"


def test_they_are_of_the_bytes_of_each_tensor_and_of_all(source: Path) -> None:
    found = {(one.algorithm, one.tensor): one.digest for one in checksums(open_gguf(source), ["sha256", "xxh64"])}
    a, b = bytes(32), bytes([1] * 32)
    assert found["sha256", "a"] == hashlib.sha256(a).hexdigest()
    assert found["sha256", ""] == hashlib.sha256(a + b).hexdigest()
    assert found["xxh64", "a"] == "f6e9be5d70632cf5"
    assert len(found) == 6
    with pytest.raises(UsageError, match="'md5' is no checksum"):
        list(checksums(open_gguf(source), ["md5"]))


def test_a_changed_tensor_is_found_and_a_changed_name_is_none(source: Path, program, tmp_path: Path) -> None:
    printed = program("hash", source, "-a", "xxh64", "-a", "sha1").stdout
    assert printed.splitlines()[-1].split()[0::2] == ["sha1", str(source)]
    (tmp_path / "sums").write_text("# gguf-hash\n" + printed)
    assert program("edit", source, "general.name=str:other").returncode == 0
    done = program("hash", source, "--check", tmp_path / "sums")
    assert (done.returncode, done.stderr) == (0, "6 of 6 checksums are right\n")
    raw = bytearray(source.read_bytes())
    raw[-1] ^= 1
    source.write_bytes(raw)
    done = program("hash", source, "--check", tmp_path / "sums")
    assert (done.returncode, done.stderr) == (1, "2 of 6 checksums are right\n")
    assert [line.split()[-1] for line in done.stdout.splitlines()] == [
        "ok",
        "ok",
        "differs",
        "differs",
        "differs",
        "differs",
    ]


def test_a_manifest_may_be_of_another_name_and_miss_tensors(source: Path, tmp_path: Path) -> None:
    (tmp_path / "sums").write_text("xxh64     0123  C:/old/name.gguf:b\nxxh64  45  old.gguf:gone\nuuid  1  x\n")
    found = read_manifest(tmp_path / "sums", open_gguf(source))
    assert [(one.digest, one.tensor) for one in found] == [("0123", "b"), ("45", "gone")]
    (tmp_path / "none").write_text("nothing\n")
    with pytest.raises(UsageError, match="has no checksums"):
        read_manifest(tmp_path / "none", open_gguf(source))
