"""Locks that go with their process, and snapshots within a budget."""

import errno
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from llamachat import locking
from llamachat.errors import LlamaChatError
from llamachat.session.locks import ChatLock, tidy_locks
from llamachat.session.snapshots import Snapshots

MEMORY = np.arange(1000, dtype=np.uint32).view(np.uint8)
OF = {"model": "m"}
HOLDER = """
import sys, time
from pathlib import Path
from llamachat import locking
from llamachat.session.locks import ChatLock
locking._take = getattr(locking, sys.argv[2])
print(ChatLock(Path(sys.argv[1]), 7).take(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("way", ["_flock", "_lock_descriptor"])
def test_a_chat_is_one_program_s_alone_until_it_ends(tmp_path, monkeypatch, way):
    """Also with filelock, which is used on Windows only."""
    monkeypatch.setattr(locking, "_take", getattr(locking, way))
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path), way], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"True\n"
    mine, other = ChatLock(tmp_path, 7), ChatLock(tmp_path, 8)
    assert not mine.take()
    assert mine.holder == process.pid
    assert other.take()
    process.kill()
    process.wait()
    assert mine.take()
    mine.release()
    with ChatLock(tmp_path, 7) as again:
        assert again.take()


def test_a_lock_can_be_taken_again_after_its_release(tmp_path):
    lock = ChatLock(tmp_path, 1)
    assert lock.take()
    lock.release()
    lock.release()
    assert ChatLock(tmp_path, 1).take()


def test_where_there_are_no_locks_chats_are_open_and_nothing_is_swept_away(tmp_path, monkeypatch):
    unfinished = tmp_path / ".1.safetensors.abcdefgh.part"
    unfinished.touch()

    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    assert ChatLock(tmp_path, 1).take()
    assert ChatLock(tmp_path, 1).take()
    Snapshots(tmp_path, 10**6).keep(1, [1], MEMORY, OF)
    tidy_locks(tmp_path)
    assert unfinished.exists()
    assert (tmp_path / "1.lock").exists()


def test_locks_that_nobody_holds_are_tidied_and_can_be_taken_again(tmp_path):
    held, free = ChatLock(tmp_path, 1), ChatLock(tmp_path, 2)
    assert held.take()
    assert free.take()
    free.release()
    tidy_locks(tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["1.lock"]
    assert not ChatLock(tmp_path, 1).take()
    assert free.take()


def test_a_full_disk_does_not_keep_a_chat_from_being_locked(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with ChatLock(tmp_path, 1) as lock:
        assert lock.take()
        other = ChatLock(tmp_path, 1)
        assert not other.take()
        assert other.holder == 0
    assert ChatLock(tmp_path, 1).take()


def test_a_folder_that_cannot_be_written_is_said_and_harms_nothing(tmp_path):
    (tmp_path / "file").touch()
    snapshots = Snapshots(tmp_path / "file" / "snapshots", 10**6)
    with pytest.raises(LlamaChatError, match="cannot be saved"):
        snapshots.keep(1, [1], MEMORY, OF)
    snapshots.drop(1)
    snapshots.tidy([])
    assert snapshots.open(1, OF) is None


def test_the_least_recently_used_snapshot_goes_first(tmp_path):
    snapshots = Snapshots(tmp_path, 3 * 5000)
    for chat in (1, 2):
        snapshots.keep(chat, [chat], MEMORY, OF)
        os.utime(tmp_path / f"{chat}.safetensors", (chat, chat))
    assert snapshots.open(1, OF) is not None  # used now
    snapshots.keep(3, [3], MEMORY, OF)
    snapshots.keep(4, [4], MEMORY, OF)
    kept = {chat for chat in range(1, 5) if snapshots.open(chat, OF)}
    assert 2 not in kept
    assert {3, 4} <= kept


def test_one_that_is_too_large_is_not_kept_and_the_old_one_is_worthless(tmp_path):
    snapshots = Snapshots(tmp_path, 5000)
    assert snapshots.keep(1, [1], MEMORY, OF)
    assert not snapshots.keep(1, [1, 2], np.zeros(6000, np.uint8), OF)
    assert snapshots.open(1, OF) is None


def test_a_snapshot_of_another_model_or_a_damaged_one_is_none(tmp_path):
    snapshots = Snapshots(tmp_path, 10**6)
    snapshots.keep(1, [1], MEMORY, OF)
    assert snapshots.open(1, {"model": "other"}) is None
    path = tmp_path / "1.safetensors"
    path.write_bytes(path.read_bytes()[:50])
    assert snapshots.open(1, OF) is None
    assert snapshots.open(2, OF) is None


def test_tidying_forgets_what_belongs_to_no_chat(tmp_path):
    snapshots = Snapshots(tmp_path / "new", 10**6)
    snapshots.tidy([1])
    for chat in (1, 2):
        snapshots.keep(chat, [chat], MEMORY, OF)
    (tmp_path / "new" / ".1.safetensors.abcdefgh.part").write_bytes(b"x")
    snapshots.tidy([1])
    assert [one.name for one in (tmp_path / "new").iterdir()] == ["1.safetensors"]


@pytest.mark.parametrize("moment", range(5))
def test_a_killed_program_leaves_a_whole_snapshot(tmp_path, moment):
    script = (
        "import sys, numpy as np\nfrom pathlib import Path\nfrom llamachat.session.snapshots import Snapshots\n"
        "s = Snapshots(Path(sys.argv[1]), 10**9)\n"
        "while True:\n s.keep(1, [1], np.ones(3_000_000, np.uint8), {'model': 'm'})\n print(flush=True)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.007 * moment)
    process.kill()
    process.wait()
    kept = Snapshots(tmp_path, 10**9).open(1, OF)
    assert kept is not None
    memory = np.zeros(3_000_000, np.uint8)
    kept.fill(memory)
    assert (memory == 1).all()


def test_links_in_the_folders_are_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("1.safetensors", "1.lock", ".1.safetensors.abcdefgh.part"):
        (folder / name).symlink_to(victim)
    snapshots = Snapshots(folder, 10**6)
    assert snapshots.open(1, OF) is None
    assert snapshots.keep(1, [7], MEMORY, OF)
    assert snapshots.open(1, OF) is not None
    with ChatLock(folder, 1) as lock:
        assert lock.take()
        assert (folder / "1.lock").read_bytes() == str(os.getpid()).encode()
    tidy_locks(folder)
    assert victim.read_bytes() == b"precious"
    assert not (folder / "1.safetensors").is_symlink()


def test_a_link_does_not_count_as_what_it_leads_to(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"x" * 10**6)
    folder = tmp_path / "data"
    snapshots = Snapshots(folder, MEMORY.nbytes * 3)
    snapshots.keep(1, [7], MEMORY, OF)
    (folder / "2.safetensors").symlink_to(victim)
    assert snapshots.keep(3, [7], MEMORY, OF)
    assert snapshots.open(1, OF) is not None
    assert snapshots.open(2, OF) is None
    assert len(victim.read_bytes()) == 10**6


def test_a_full_disk_is_said_with_what_is_needed(small_disk):
    small_disk.fill()
    with pytest.raises(LlamaChatError, match=r"no space left on the disk: 1\.\d MB are needed, 0 bytes are free"):
        Snapshots(small_disk.path, 10**8).keep(1, [7], np.zeros(10**6, np.uint8), OF)
