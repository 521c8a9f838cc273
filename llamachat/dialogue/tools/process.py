"""A tool's command as a process: bounded in time and output, and gone together with all that it started.

What a command starts belongs to its process group, and on Linux it is also known by a variable of its environment that
it inherits, so that what has left the group (a daemon, `setsid`) is found, too. What leaves the group and clears its
environment is not found; nor is what has left the group on other systems.
"""

import os
import secrets
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

LARGEST_OUTPUT = 1 << 20
"""Bytes of each output that are kept; a command may write more, which is read and forgotten."""

_PIECE = 65536
MARK = "LLAMACHAT_TOOL_CALL"
"""The variable by which what a command has started is known."""

MOST_SCANS = 20


@dataclass(frozen=True)
class Finished:
    """How a command ended, and the first LARGEST_OUTPUT bytes of what it wrote."""

    returncode: int
    stdout: bytes
    stderr: bytes


def run_bounded(words: Sequence[str], data: bytes, patience_s: float) -> Finished:
    """Runs a command with `data` on its input, without a terminal of its own.

    Raises OSError where it cannot be started, ValueError for a NUL in a word, and TimeoutError when it has not ended
    and closed its outputs within patience_s. Whatever it started is killed when this is left.
    """
    deadline = time.monotonic() + patience_s
    with _started(words) as process:
        kept = _exchange(process, data, deadline)
        try:
            returncode = process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
    return Finished(returncode, bytes(kept[0]), bytes(kept[1]))


@contextmanager
def _started(words: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads a session, so that its children can be killed with it: by a time limit, or by Ctrl+C."""
    mark = secrets.token_hex(16)
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        env={**os.environ, MARK: mark},
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError, PermissionError):  # macOS refuses where only a zombie is left
            os.killpg(process.pid, signal.SIGKILL)
        _end_marked(f"{MARK}={mark}".encode())
        for pipe in (process.stdin, process.stdout, process.stderr):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        process.wait()


def _end_marked(mark: bytes) -> None:
    """Kills the processes that have a variable in their environment, until there are none, where /proc tells of it."""
    for _ in range(MOST_SCANS):
        found = [pid for pid in _processes() if mark in _environment(pid)]
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _processes() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _environment(pid: int) -> list[bytes]:
    """The variables that a process was started with; none where it has ended, or belongs to somebody else."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as environment:
            return environment.read().split(b"\0")
    except OSError:
        return []


def _exchange(process: subprocess.Popen[bytes], data: bytes, deadline: float) -> tuple[bytearray, bytearray]:
    """Writes the input and reads both outputs until they end. Raises TimeoutError at the deadline."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    kept = (bytearray(), bytearray())
    left = memoryview(data)
    os.set_blocking(process.stdin.fileno(), False)
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdin, selectors.EVENT_WRITE)
        for pipe, into in zip((process.stdout, process.stderr), kept, strict=True):
            selector.register(pipe, selectors.EVENT_READ, into)
        while selector.get_map():
            if time.monotonic() >= deadline:
                raise TimeoutError
            for key, _ in selector.select(deadline - time.monotonic()):
                if key.data is None:
                    left = left[_written(key.fd, left) :]
                    ended = not left
                else:
                    piece = os.read(key.fd, _PIECE)
                    key.data.extend(piece[: LARGEST_OUTPUT - len(key.data)])
                    ended = not piece
                if ended:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]
    return kept


def _written(pipe: int, data: memoryview) -> int:
    """How many bytes went into a pipe; all of them where nobody reads it any more."""
    try:
        return os.write(pipe, data[:_PIECE])
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        return len(data)
