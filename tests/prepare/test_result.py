import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from llamachat.engine.gguf.writer import write_gguf
from llamachat.errors import LlamaChatError, UsageError
from llamachat.prepare.result import check_result, result, results


def _fail_half_way(part: Path, error: BaseException) -> None:
    part.write_bytes(b"half")
    raise error


def test_a_whole_result_has_its_name_and_nothing_else_is_left(tmp_path: Path) -> None:
    with result(tmp_path / "out.gguf") as part:
        part.write_bytes(b"whole")
        assert not (tmp_path / "out.gguf").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"out.gguf"}
    assert (tmp_path / "out.gguf").read_bytes() == b"whole"


@pytest.mark.parametrize("end", [ValueError, KeyboardInterrupt, SystemExit])
def test_whatever_ends_the_work_leaves_what_was_there(end: type[BaseException], tmp_path: Path) -> None:
    (tmp_path / "out.gguf").write_bytes(b"before")
    with pytest.raises(end), result(tmp_path / "out.gguf") as part:
        _fail_half_way(part, end())
    assert [path.name for path in tmp_path.iterdir()] == ["out.gguf"]
    assert (tmp_path / "out.gguf").read_bytes() == b"before"


def test_several_files_appear_together_or_not_at_all(tmp_path: Path) -> None:
    names = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(ValueError, match="half"), results(names) as parts:
        _fail_half_way(parts[0], ValueError("half"))
    assert list(tmp_path.iterdir()) == []
    with results(names) as parts:
        for part in parts:
            part.write_bytes(b"1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_the_mode_of_a_replaced_file_and_a_link_to_it_stay(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"before")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to("real")
    with result(tmp_path / "link") as part:
        part.write_bytes(b"after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"after"
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("kind", ["itself", "symbolic link", "hard link", "other spelling"])
def test_a_source_is_not_written_over(kind: str, tmp_path: Path) -> None:
    source, out = tmp_path / "in.gguf", tmp_path / "out.gguf"
    source.write_bytes(b"model")
    if kind == "itself":
        out = source
    elif kind == "symbolic link":
        out.symlink_to(source)
    elif kind == "hard link":
        out.hardlink_to(source)
    else:
        out = tmp_path / ".." / tmp_path.name / "in.gguf"
    with pytest.raises(UsageError, match="is the file that is read"):
        check_result(out, [source], overwrite=True)


def test_what_cannot_be_a_result_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"")
    check_result(tmp_path / "new")
    check_result(tmp_path / "there", overwrite=True)
    for path, said in {
        tmp_path: "is a directory",
        tmp_path / "there": "there is such a file already",
        tmp_path / "no" / "out": "there is no folder",
        Path("/dev/null"): "is no regular file",
    }.items():
        with pytest.raises(UsageError, match=said):
            check_result(path)
    with pytest.raises(LlamaChatError, match=r"are needed and .* are free"):
        check_result(tmp_path / "new", n_bytes=1 << 60)


def test_a_read_only_folder_is_refused_before_any_work(small_disk) -> None:
    small_disk.remount("ro")
    with pytest.raises(LlamaChatError, match="the disk is read-only"):
        check_result(small_disk.path / "out")
    small_disk.remount("rw")


def test_a_full_disk_is_one_sentence_and_keeps_what_was_there(small_disk) -> None:
    out = small_disk.path / "out.gguf"
    out.write_bytes(b"before")
    tensor = ("x", "F32", (1 << 20,), lambda: np.zeros(1 << 20, np.float32))
    with pytest.raises(LlamaChatError, match=r"out\.gguf: the disk is full; nothing was written"), result(out) as part:
        write_gguf(part, {}, [tensor])
    assert [path.name for path in small_disk.path.iterdir()] == ["out.gguf"]
    assert out.read_bytes() == b"before"


def test_an_error_about_another_file_keeps_its_words(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileNotFoundError), result(tmp_path / "folder" / "out"):
        (tmp_path / "in").read_bytes()


def test_what_a_killed_process_left_goes_a_day_later(tmp_path: Path) -> None:
    for name, age_s in {".llamachat-1-a": 90000, ".llamachat-2-b": 60}.items():
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age_s,) * 2)
    with result(tmp_path / "out") as part:
        part.write_bytes(b"")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".llamachat-2-b", "out"]


ENDLESS = """
import sys
from llamachat.endings import handle_termination
from llamachat.prepare.result import result
handle_termination()
print("begun", flush=True)
while True:
    with result(sys.argv[1]) as part:
        part.write_bytes(b"whole")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_any_moment_leaves_no_partial_file(number: signal.Signals, tmp_path: Path) -> None:
    for delay in range(3):
        out = tmp_path / f"{delay}"
        work = subprocess.Popen(
            [sys.executable, "-c", ENDLESS, out], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert work.stdout is not None
        work.stdout.readline()
        time.sleep(0.013 * delay)
        work.send_signal(number)
        work.communicate(timeout=30)
        assert not out.exists() or out.read_bytes() == b"whole"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
