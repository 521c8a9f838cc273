"""The object cache gives back what was kept, or nothing."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from llamachat.catalog.paths import cache_folder
from llamachat.engine.backend.cpu.jit.cache import ObjectCache

KEY, CODE = "avx2 Product(...)", bytes(range(256)) * 40


@pytest.fixture
def cache(tmp_path: Path) -> ObjectCache:
    """A cache that holds CODE under KEY."""
    cache = ObjectCache(tmp_path)
    cache.save(KEY, CODE)
    return cache


def kept_file(cache: ObjectCache) -> Path:
    assert cache.folder is not None
    (path,) = cache.folder.iterdir()
    return path


def test_what_is_saved_is_loaded(cache: ObjectCache) -> None:
    assert cache.load(KEY) == CODE


def test_an_unknown_key_gives_nothing(cache: ObjectCache) -> None:
    assert cache.load(KEY + " ") is None


def test_a_new_version_replaces_the_old(cache: ObjectCache) -> None:
    cache.save(KEY, b"new")
    assert cache.load(KEY) == b"new"
    assert len(list(kept_file(cache).parent.iterdir())) == 1


@pytest.mark.parametrize("n_bytes", [0, 1, 18, 49, 50, 51, 10_000])
def test_a_truncated_file_gives_nothing(cache: ObjectCache, n_bytes: int) -> None:
    path = kept_file(cache)
    path.write_bytes(path.read_bytes()[:n_bytes])
    assert cache.load(KEY) is None


@pytest.mark.parametrize("at", [0, 18, 49, 50, -1])
def test_one_wrong_byte_gives_nothing(cache: ObjectCache, at: int) -> None:
    path = kept_file(cache)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    assert cache.load(KEY) is None


def test_bytes_of_another_key_give_nothing(cache: ObjectCache) -> None:
    first = kept_file(cache)
    cache.save("other", b"other code")
    assert cache.folder is not None
    (second,) = set(cache.folder.iterdir()) - {first}
    os.replace(second, first)
    assert cache.load(KEY) is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_gives_nothing(cache: ObjectCache, mode: int) -> None:
    kept_file(cache).chmod(mode)
    assert cache.load(KEY) is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such owners")
def test_a_file_of_another_user_gives_nothing(cache: ObjectCache, monkeypatch: pytest.MonkeyPatch) -> None:
    other = os.getuid() + 1
    monkeypatch.setattr(os, "getuid", lambda: other)
    assert cache.load(KEY) is None


def test_files_are_private(cache: ObjectCache) -> None:
    assert stat.S_IMODE(kept_file(cache).stat().st_mode) == 0o600


@pytest.mark.parametrize("reason", [PermissionError(13, "Permission denied"), OSError(28, "No space left on device")])
def test_a_cache_that_cannot_be_written_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: OSError
) -> None:
    """The tests may run as root, who may write anywhere: the system's answer is given by hand."""

    def refuse(*arguments: object, **options: object) -> None:
        raise reason

    cache = ObjectCache(tmp_path)
    monkeypatch.setattr("tempfile.mkstemp", refuse)
    cache.save(KEY, CODE)
    assert cache.load(KEY) is None


def test_a_folder_in_the_way_is_no_error(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path)
    cache.save(KEY, CODE)
    path = kept_file(cache)
    path.unlink()
    path.mkdir()
    assert cache.load(KEY) is None
    cache.save(KEY, CODE)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def fifo(path: Path) -> None:
    """A pipe that nobody writes: reading it would never end."""
    os.mkfifo(path)


def endless(path: Path) -> None:
    """A device that never ends."""
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    """A file without bytes of its own that claims a terabyte."""
    with open(path, "wb") as file:
        file.truncate(1 << 40)


def loop(path: Path) -> None:
    """A link to itself."""
    path.symlink_to(path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
@pytest.mark.parametrize("make", [fifo, endless, huge, loop])
def test_what_is_no_plain_file_is_not_read_and_is_replaced(make: Callable[[Path], None], cache: ObjectCache) -> None:
    path = kept_file(cache)
    path.unlink()
    make(path)
    assert cache.load(KEY) is None
    cache.save(KEY, CODE)
    assert cache.load(KEY) == CODE


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such files")
def test_a_pipe_that_takes_the_file_s_place_while_it_is_looked_at_does_not_hang(
    cache: ObjectCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kept_file(cache)
    before = os.lstat(path)
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr("llamachat.engine.backend.cpu.jit.cache.os.lstat", lambda _: before)
    assert cache.load(KEY) is None


def test_a_tilde_in_the_variable_is_the_home_as_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LLAMACHAT_CACHE", "~/kernels")
    monkeypatch.chdir(tmp_path)
    assert ObjectCache.of_user().folder == tmp_path / "home" / "kernels" / "objects" == cache_folder() / "objects"


def test_without_the_variable_it_is_where_doctor_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LLAMACHAT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert ObjectCache.of_user().folder == cache_folder() / "objects"


def test_without_a_home_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llamachat.folders.user_folder", lambda kind: Path("~"))
    monkeypatch.delenv("LLAMACHAT_CACHE")
    assert ObjectCache.of_user().folder is None


def test_a_folder_that_is_gone_is_no_error(tmp_path: Path) -> None:
    cache = ObjectCache(tmp_path / "gone")
    cache.save(KEY, CODE)
    assert cache.load(KEY) is None


def test_the_variable_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLAMACHAT_CACHE", str(tmp_path / "here"))
    cache = ObjectCache.of_user()
    assert cache.folder == tmp_path / "here" / "objects"
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700


def test_a_folder_that_others_may_write_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "objects"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setenv("LLAMACHAT_CACHE", str(tmp_path))
    assert ObjectCache.of_user().folder is None


def test_a_file_in_the_place_of_the_folder_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LLAMACHAT_CACHE", str(tmp_path / "file"))
    cache = ObjectCache.of_user()
    cache.save(KEY, CODE)
    assert cache.load(KEY) is None


WRITER = """
import sys
from pathlib import Path
from llamachat.engine.backend.cpu.jit.cache import ObjectCache
cache = ObjectCache(Path(sys.argv[1]))
for _ in range(300):
    cache.save("key", sys.argv[2].encode() * 5000)
    found = cache.load("key")
    assert found is not None and len(set(found)) == 1 and len(found) == 5000, found
"""


def test_two_processes_that_save_the_same_key_see_whole_files(tmp_path: Path) -> None:
    both = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), letter]) for letter in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len(list(tmp_path.iterdir())) == 1
