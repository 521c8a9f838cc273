"""The other side of `served`: starts the helper process, asks it, and ends it where it takes too long.

One helper serves the whole program; it is started when the first template that needs it is made, so that it imports
jinja2 while the model is loaded. It knows nothing but the last few templates, so that after an end another begins.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from llamachat.errors import LlamaChatError
from llamachat.templates.bounds import check_source
from llamachat.templates.budget import CPU_S_PER_MESSAGE
from llamachat.templates.faults import TemplateFault
from llamachat.templates.frames import OUT_OF_MEMORY, read_frame, write_frame

MAX_S = 1.6
"""Processor seconds of everything between two `begin`, reading the template included; a little more per message."""

PATIENCE = 6
"""How many times longer it may take on a busy machine. Where there are no timers of processor time, no longer."""

START = "import sys; sys.path[:] = sys.argv[1:]; from llamachat.templates.served import main; main()"


class RemoteProgram:
    """A template in the helper process: a `Program`, whose faults may also be that the helper was ended."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._n_messages, self._begins = 0, True
        self._ended: TemplateFault | None = None
        try:
            check_source(source)
        except ValueError as error:
            self._refused: TemplateFault | None = TemplateFault("invalid", str(error))
        else:
            self._refused = None
            HELPER.start()

    def begin(self, n_messages: int = 0) -> None:
        """See Program. Where the helper had to be ended, nothing runs before this."""
        self._n_messages, self._begins, self._ended = n_messages, True, None

    def literals(self) -> list[str]:
        """See Program."""
        found: list[str] = json.loads(self._ask("literals"))
        return found

    def keys(self) -> list[str]:
        """See Program."""
        found: list[str] = json.loads(self._ask("keys"))
        return found

    def names(self) -> list[str]:
        """See Program."""
        found: list[str] = json.loads(self._ask("names"))
        return found

    def render(self, variables: Mapping[str, Any], moment: datetime | None = None) -> str:
        """See Program."""
        return self._ask("render", variables=variables, moment=None if moment is None else moment.isoformat())

    def _ask(self, what: str, **more: Any) -> str:
        fault = self._refused or self._ended
        if fault is not None:
            raise TemplateFault(fault.kind, str(fault), fault.line)
        begins, self._begins = self._begins, False
        seconds = MAX_S + self._n_messages * CPU_S_PER_MESSAGE
        limits = {"begins": begins, "n_messages": self._n_messages, "seconds": seconds}
        request = {"do": what, "source": self.source, **limits, **more}
        try:
            reply = HELPER.ask(json.dumps(request).encode("ascii"), seconds)
        except TemplateFault as ended:
            self._ended = ended
            raise
        text = reply[1:].decode("utf-8", "surrogatepass")
        if reply[:1] == b"=":
            return text
        fault = TemplateFault(*json.loads(text))
        if str(fault) == OUT_OF_MEMORY:
            self._ended = fault
        raise fault


class _Helper:
    """The process, at most one at a time. A fork of this process starts its own."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._lock = threading.RLock()
        self._late = threading.Event()
        self._ended_with: int | None = None

    def start(self) -> None:
        """Start it, if it is not running; nothing is waited for. Raises LlamaChatError if it cannot be."""
        with self._lock:
            if self._process is not None and self._owner == os.getpid() and self._process.poll() is None:
                return
            here = str(Path(__file__).resolve().parents[2])
            paths = [here, *(path for path in sys.path if path)]
            try:
                self._process = subprocess.Popen(
                    [sys.executable, "-I", "-S", "-c", START, *paths],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                raise LlamaChatError(f"No process can be started for the chat template ({error})") from error
            self._owner = os.getpid()

    def ask(self, request: bytes, seconds: float) -> bytes:
        """The answer. Raises TemplateFault where it had to be ended, or ended itself."""
        with self._lock:
            self.start()
            reply = self._exchange(request, seconds)
            if reply is None and not self._timed_out(seconds):
                self.start()  # somebody ended it before it was asked, or within; not twice
                reply = self._exchange(request, seconds)
            if reply is not None:
                return reply
            if self._timed_out(seconds):
                why = f"after {seconds:.1f} seconds of computing"
            else:
                why = "as the process that ran it ended"
            raise TemplateFault("stopped", f"The chat template was stopped {why}")

    def _exchange(self, request: bytes, seconds: float) -> bytes | None:
        """The answer; None where none came, and the process is gone then."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        limit_s = seconds if sys.platform == "win32" else seconds * PATIENCE
        self._late = threading.Event()
        watch = threading.Timer(limit_s, self._end_late, [process, self._late])
        watch.daemon = True
        watch.start()
        reply = None
        try:
            write_frame(process.stdin, request)
            reply = read_frame(process.stdout)
        except OSError:
            pass  # it is gone
        finally:
            watch.cancel()
            if reply is None:
                self.end()
        return reply

    @staticmethod
    def _end_late(process: subprocess.Popen[bytes], late: threading.Event) -> None:
        late.set()
        process.kill()

    def _timed_out(self, seconds: float) -> bool:
        """Whether the last exchange ended because its time was over."""
        return self._late.is_set() or (sys.platform != "win32" and self._ended_with == -signal.SIGPROF)

    def end(self) -> None:
        """End it, whatever it does."""
        with self._lock:
            process, self._process = self._process, None
            if process is None or self._owner != os.getpid():
                return
            process.kill()
            self._ended_with = process.wait()
            for stream in (process.stdin, process.stdout):
                with suppress(OSError):  # what was not written yet
                    if stream is not None:
                        stream.close()


HELPER = _Helper()
"""This program's."""
atexit.register(HELPER.end)
