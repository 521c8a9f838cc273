"""A program that is ended by a signal at any moment: what was finished is there, and nothing is half written.

LLAMACHAT_KILLS says how often by each signal.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chatter import LATER, OF, answer_of

from llamachat.session import database
from llamachat.session.chats import ChatStore, StoredMessage
from llamachat.session.imports import read_chats
from llamachat.session.locks import ChatLock
from llamachat.session.snapshots import Snapshots

KILLS = int(os.environ.get("LLAMACHAT_KILLS", "8"))
CHATTER = Path(__file__).with_name("chatter.py")
MOMENTS = (
    ("streaming", 1, 2.0),
    ("computing", 0, 0.15),
    ("streaming", 0, 0.3),
    ("migrating", 0, 0.1),
    ("exporting", 0, 0.05),
    ("streaming", 1, 2.0),
    ("opening", 0, 0.05),
    ("migrating", 1, 0.1),
)
"""In which part of the work it is killed, after how many turns, and within how many seconds from its beginning."""

AGAIN_S = 10.0

NOTICED_S = 0.15
"""What a busy machine may need, besides the second, until a word that was shown is also kept."""


@pytest.fixture(scope="module")
def old_database(tmp_path_factory):
    """A database of today's schema, with a talk."""
    path = tmp_path_factory.mktemp("old") / "chats.db"
    with ChatStore(path) as store:
        chat, parent = store.create("m", "old"), None
        for number in range(200):
            parent = store.add(chat, parent, StoredMessage(0, None, "user", f"said {number} " * 20))
    return path


def rest_of(process, how: int) -> bytes:
    """What the program still tells. A Ctrl+C just as an answer ends stops nothing: then it is pressed again."""
    read = threading.Event()

    def press_again() -> None:
        while not read.wait(AGAIN_S):
            process.send_signal(how)

    thread = threading.Thread(target=press_again)
    thread.start()
    try:
        return process.stdout.read()
    finally:
        read.set()
        thread.join()
        process.wait()


def ended(folder: Path, how: int, number: int) -> tuple[list[dict[str, Any]], float]:
    """What the program told until a signal ended it, and when that came."""
    phase, turn, longest = MOMENTS[number % len(MOMENTS)]
    command = [sys.executable, str(CHATTER), str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    told: list[dict[str, Any]] = []
    while sum(line.get("phase") == phase for line in told) <= turn:
        told.append(json.loads(process.stdout.readline()))
    time.sleep(random.Random(100 * number + how).uniform(0, longest))
    at = time.monotonic()
    process.send_signal(how)
    rest = rest_of(process, how).splitlines(keepends=True)
    return told + [json.loads(line) for line in rest if line.endswith(b"\n")], at


def last(told: list[dict[str, Any]], key: str) -> Any:
    return next((line[key] for line in reversed(told) if key in line), None)


@pytest.mark.parametrize("number", range(KILLS))
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_chat_that_is_ended_is_whole(tmp_path, old_database, how, number, record_property, monkeypatch):
    shutil.copy(old_database, tmp_path / "chats.db.old")
    told, at = ended(tmp_path, how, number)
    record_property("phase", last(told, "phase"))
    assert last(told, "warning") is None
    # Only what was shown in the last second may be lost, and only by a kill that no program hears.
    look_at_chat(tmp_path, told, at - 1 - NOTICED_S if how == signal.SIGKILL else float("inf"))
    look_at_files(tmp_path)
    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, LATER))
    for folder in tmp_path.glob("old-*"):
        look_at_migrated(folder)


def look_at_chat(folder, told, until):
    with ChatStore(folder / "chats.db") as store:
        check(store._connection)
        chat = store.named("killed")
        if chat is None:
            assert last(told, "phase") == "opening"
            return
        assert ChatLock(folder / "locks", chat).take()
        path, finished = store.path_of(chat), last(told, "finished")
    done = 0 if finished is None else finished + 1
    assert [one.content for one in path[: 2 * done]] == [
        text for turn in range(done) for text in (f"question {turn}", answer_of(turn))
    ]
    assert all(one.state == "done" for one in path[: 2 * done])
    begins = max((n for n, line in enumerate(told) if line.get("phase") == "streaming"), default=len(told))
    shown = [line["shown"] for line in told[begins:] if "shown" in line and line["at"] < until]
    if any(shown) and last(told[begins:], "finished") is None:
        assert len(path) > 2 * done + 1, shown  # an answer is kept from its first word on
        kept = path[2 * done + 1].content
        assert len(kept) >= shown[-1]
        assert answer_of(done).startswith(kept)


def look_at_files(folder):
    """Exports and snapshots are whole or not there; what was half written is gone after the next one."""
    if (folder / "chat.json").exists():
        assert len(list(read_chats(folder / "chat.json"))) == 1
    snapshots, memory = Snapshots(folder / "snapshots", 10**8), np.zeros(3_000_000, np.uint8)
    kept = snapshots.open(1, OF)
    assert (kept is None) != (folder / "snapshots" / "1.safetensors").exists()
    if kept is not None:
        kept.fill(memory)
        assert (memory == kept.tokens[0] % 250).all()
    snapshots.keep(1, [7], memory, OF)
    assert [one.name for one in (folder / "snapshots").iterdir()] == ["1.safetensors"]


def look_at_migrated(folder):
    """Old or new, never between; a copy that is there is whole."""
    if not (folder / "chats.db").exists() or (folder / "chats.db").stat().st_size < old_size(folder):
        return  # killed while the test's own old database was copied here
    for copy in folder.glob("chats.db.schema-2"):
        with sqlite3.connect(copy) as connection:
            assert connection.execute("PRAGMA user_version").fetchone()[0] == 2
            assert connection.execute("SELECT count(*) FROM messages").fetchone()[0] == 200
    with ChatStore(folder / "chats.db") as store:
        check(store._connection)
        assert len(store.path_of(store.find("old"))) == 200
    assert (folder / "chats.db.schema-2").exists()


def old_size(folder):
    return (folder.parent / "chats.db.old").stat().st_size


def check(connection):
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.execute("INSERT INTO words(words) VALUES ('integrity-check')")
