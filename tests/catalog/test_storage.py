import errno
import os
from pathlib import Path

import pytest

from llamachat.catalog.storage import check_free, file_name, scratch, storing
from llamachat.errors import LlamaChatError, UsageError


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        pytest.param(errno.ENOSPC, "the disk is full; free some space", id="full"),
        pytest.param(errno.EROFS, "the disk is read-only", id="read-only"),
        pytest.param(errno.EACCES, "no permission", id="not allowed"),
        pytest.param(errno.EIO, "Input/output error", id="another one keeps the system's words"),
    ],
)
def test_the_disk_s_errors_become_sentences_with_the_file(number: int, sentence: str) -> None:
    with pytest.raises(LlamaChatError, match=f"/models/x.gguf: {sentence}"), storing(Path("/models/x.gguf")):
        raise OSError(number, os.strerror(number))


@pytest.mark.parametrize("end", [None, RuntimeError, KeyboardInterrupt])
def test_a_scratch_folder_is_gone_however_the_work_ends(end: type[BaseException] | None, tmp_path: Path) -> None:
    try:
        with scratch(tmp_path) as place:
            (place / "part").touch()
            if end:
                raise end
    except (RuntimeError, KeyboardInterrupt):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_long_ago_is_swept_away_and_what_runs_now_is_not(tmp_path: Path) -> None:
    old, new = tmp_path / ".fetch-old", tmp_path / ".fetch-new"
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (0, 0))
    with scratch(tmp_path):
        assert (old.exists(), new.exists()) == (False, True)


def test_a_disk_with_too_little_room_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(LlamaChatError, match=r"1000000000\.0 GB are needed and .* are free"):
        check_free(tmp_path, 10**18)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        pytest.param("model.gguf", "model.gguf", id="as it is"),
        pytest.param("../../etc/x.gguf", "x.gguf", id="no folder above"),
        pytest.param("..\\..\\x.gguf", "x.gguf", id="no folder of Windows"),
        pytest.param(".hidden.gguf", "hidden.gguf", id="not hidden"),
        pytest.param("a b\x1b\n$.gguf", "a_b___.gguf", id="odd characters"),
    ],
)
def test_a_file_s_name_is_plain(name: str, kept: str) -> None:
    assert file_name(name, "https://host/") == kept


@pytest.mark.parametrize("name", ["", "..", "x.bin", ".gguf", "a/", "x" * 300 + ".gguf"])
def test_what_names_no_gguf_file_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"origin: this does not name a \.gguf file"):
        file_name(name, "origin")
