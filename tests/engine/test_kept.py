"""Packed weights that are kept on disk: used where all is right, made anew where anything is not."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from llamachat import Model
from llamachat.engine import kept
from llamachat.engine.backend.cpu import copies
from llamachat.engine.backend.cpu.loading import Loading
from llamachat.engine.kept import PART, TRAILER, Store, Unusable, kept_folder, remove_copies
from llamachat.errors import ExitCode, UsageError

GB = 10**9


@pytest.fixture(autouse=True)
def worth_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Small models are kept, in a folder of each test; compiled kernels stay where they are."""

    def private(name: str) -> Path:
        (tmp_path / "cache" / name).mkdir(0o700, parents=True, exist_ok=True)
        return tmp_path / "cache" / name

    monkeypatch.setattr(copies, "WORTH_S", 0)
    monkeypatch.setattr(kept, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(kept, "private_cache", private)


@pytest.fixture
def path(golden: Path, tmp_path: Path) -> Path:
    """A model of our own, to be changed."""
    copied = tmp_path / "model.gguf"
    shutil.copyfile(golden / "archs" / "llama.gguf", copied)
    return copied


class Start:
    """A start with a model: its logits, what was said, and whether weights were packed."""

    def __init__(self, path: Path, keep_packed: int = GB, threads: int = 2) -> None:
        packed, notes = [], list[str]()
        patch = pytest.MonkeyPatch()
        with patch.context() as patched:
            run = Loading.run
            patched.setattr(Loading, "run", lambda *given: (packed.append(1), run(*given)))
            with Model(path, threads=threads, keep_packed=keep_packed, note=notes.append) as model:
                self.logits = model.context(n_ctx=64).eval([1, 60, 5]).copy()
        self.packed, self.notes = bool(packed), notes


def the_copy() -> Path:
    (path,) = kept_folder().iterdir()
    return path


def test_the_second_start_packs_nothing_and_gives_the_same_bits(path: Path) -> None:
    first = Start(path)
    assert first.packed
    assert "kept on disk" in first.notes[0]
    second = Start(path, threads=1)
    assert not second.packed
    assert second.notes == []
    np.testing.assert_array_equal(first.logits, second.logits)
    np.testing.assert_array_equal(first.logits, Start(path, keep_packed=0).logits)


def test_nothing_is_kept_unless_it_is_asked_for(path: Path) -> None:
    Start(path, keep_packed=0)
    assert not kept_folder().exists()


def test_what_is_packed_quickly_is_not_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "WORTH_S", 60)
    assert Start(path).notes == []
    assert list(kept_folder().iterdir()) == []


def test_nothing_is_kept_after_an_error(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Model(path, threads=1, keep_packed=GB):
        raise ZeroDivisionError
    assert list(kept_folder().iterdir()) == []


def flipped(copy: Path) -> None:
    content = bytearray(copy.read_bytes())
    content[len(content) // 3] ^= 1
    copy.write_bytes(content)


def cut(copy: Path) -> None:
    os.truncate(copy, copy.stat().st_size - TRAILER - 4096)


def emptied(copy: Path) -> None:
    os.truncate(copy, 0)


def of_another_model(copy: Path) -> None:
    content = copy.read_bytes()
    copy.write_bytes(content.replace(copy.stem.encode(), bytes(len(copy.stem)).replace(b"\0", b"0")))


def writable_by_others(copy: Path) -> None:
    copy.chmod(0o666)


def a_pipe(copy: Path) -> None:
    copy.unlink()
    os.mkfifo(copy)


@pytest.mark.parametrize("change", [flipped, cut, emptied, of_another_model, writable_by_others, a_pipe])
def test_a_copy_that_is_not_right_is_made_anew(change: Callable[[Path], None], path: Path) -> None:
    first = Start(path)
    change(the_copy())
    second = Start(path)
    assert second.packed
    assert "the weights are packed again" in second.notes[0]
    np.testing.assert_array_equal(first.logits, second.logits)
    assert not Start(path).packed


def test_another_file_has_another_copy(path: Path) -> None:
    Start(path)
    status = path.stat()
    with open(path, "r+b") as file:
        file.seek(-5, os.SEEK_END)
        file.write(b"\x01")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert Start(path).packed
    assert len(list(kept_folder().iterdir())) == 2


def test_a_copy_replaces_those_of_other_versions(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Start(path)
    before = the_copy()
    monkeypatch.setattr(copies, "source_stamp", lambda: "other kernels")
    second = Start(path)
    assert second.packed
    assert the_copy() != before
    np.testing.assert_array_equal(first.logits, second.logits)


def test_the_least_recently_used_copy_makes_room(tmp_path: Path) -> None:
    store = Store(tmp_path, 3 * (100 + TRAILER))
    for name in ("a", "b", "c"):
        store.save(name, name, memoryview(bytes(100)), "sum")
        os.utime(tmp_path / f"{name}.packed", (time.time() - 100 + ord(name),) * 2)
    opened = store.open("a")
    assert opened is not None
    opened.file.close()
    store.save("d", "d", memoryview(bytes(100)), "sum")
    assert {one.model for one in kept.copies(tmp_path)} == {"a", "c", "d"}


def test_what_does_not_fit_is_said_and_removes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path, 1000 + TRAILER)
    store.save("a", "a", memoryview(bytes(1000)), "sum")
    with pytest.raises(Unusable, match="more than may be kept"):
        store.save("b", "b", memoryview(bytes(1001)), "sum")
    monkeypatch.setattr(kept, "LEFT_FREE", 1 << 60)
    with pytest.raises(Unusable, match="too few to keep"):
        store.save("b", "b", memoryview(bytes(10)), "sum")
    assert [one.model for one in kept.copies(tmp_path)] == ["a"]


def test_two_that_write_at_once_take_no_more_than_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, write = Store(tmp_path, 150 + 2 * TRAILER), kept._write

    def after_another(file: BinaryIO, data: memoryview) -> None:
        monkeypatch.setattr(kept, "_write", write)
        store.save("b", "b", memoryview(bytes(100)), "sum")
        os.utime(tmp_path / "b.packed", (time.time() - 100,) * 2)
        write(file, data)

    monkeypatch.setattr(kept, "_write", after_another)
    store.save("a", "a", memoryview(bytes(100)), "sum")
    assert [one.model for one in kept.copies(tmp_path)] == ["a"]


def test_an_interrupted_copy_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(kept, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path, GB).save("a", "a", memoryview(bytes(10)), "sum")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_fails_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept, "_write", full)
    with pytest.raises(Unusable, match="No space left on device"):
        Store(tmp_path, GB).save("a", "a", memoryview(bytes(10)), "sum")
    assert list(tmp_path.iterdir()) == []


def test_all_copies_are_removed_and_nothing_else(tmp_path: Path) -> None:
    Store(tmp_path, GB).save("a", "a", memoryview(bytes(10)), "sum")
    for name in ("other", f"new{PART}", f"old{PART}"):
        (tmp_path / name).touch()
    os.utime(tmp_path / f"old{PART}", (0, 0))
    assert [one.model for one in remove_copies(tmp_path)] == ["a"]
    assert {entry.name for entry in tmp_path.iterdir()} == {"other", f"new{PART}"}


def test_a_size_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    from llamachat.cli.options import ModelChoice

    with pytest.raises(UsageError, match="--keep-packed is 'much', must be a size") as error:
        _ = ModelChoice(keep_packed="much").kept_bytes
    assert error.value.exit_code == ExitCode.USAGE
    assert ModelChoice(keep_packed="2G").kept_bytes == 2 * GB
    assert ModelChoice().kept_bytes == ModelChoice(keep_packed="0").kept_bytes == 0
