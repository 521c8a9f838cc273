"""The helper process: runs templates that nobody has read, within limits that the operating system keeps.

It reads requests from its standard input and writes the answers to its standard output, each as a frame: a line with
a number of bytes, then that many bytes. Time is limited by a timer of processor time whose signal ends the process,
also within a single call in C; memory by a limit of the address space.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Any

from llamachat.templates.faults import TemplateFault
from llamachat.templates.frames import OUT_OF_MEMORY, read_frame, write_frame
from llamachat.templates.program import LocalProgram

MEMORY_BYTES = 460_000_000
"""Of the whole helper, with the 40 MB that Python and jinja2 are."""


@lru_cache(maxsize=8)
def _program(source: str) -> LocalProgram:
    return LocalProgram(source)


def answer(request: dict[str, Any], begins: bool) -> bytes:
    """What a request's answer is: "=" and a text or JSON, or "!" and a fault as JSON. begins: with a new budget.

    Raises MemoryError where the limit of memory is reached.
    """
    program = _program(request["source"])
    try:
        if begins:
            _limit_time(request["seconds"])
            program.begin(request["n_messages"])
        match request["do"]:
            case "render":
                moment = request["moment"] and datetime.fromisoformat(request["moment"])
                result = program.render(request["variables"], moment)
            case "literals":
                result = json.dumps(program.literals())
            case "keys":
                result = json.dumps(program.keys())
            case _:
                result = json.dumps(program.names())
    except TemplateFault as fault:
        # A MemoryError is not kept as what a template fails with: how much there is depends on what ran before.
        if isinstance(fault.__cause__, MemoryError):
            raise MemoryError from fault
        return b"!" + json.dumps([fault.kind, str(fault), fault.line]).encode()
    return b"=" + result.encode("utf-8", "surrogatepass")


def _limit_memory() -> None:
    if sys.platform != "win32":
        import resource

        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def _limit_time(seconds: float) -> None:
    """From now on so much processor time, then the end of this process."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)


def main() -> None:
    """Answer requests until there are none, or memory ran out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF})
    sys.setrecursionlimit(1000)
    import llamachat.templates.sandbox  # noqa: F401 (before the limits: what is imported is not a template's)

    _limit_memory()
    requests, answers, first = sys.stdin.buffer, sys.stdout.buffer, True
    while (frame := read_frame(requests)) is not None:
        try:
            request = json.loads(frame)
            del frame
            write_frame(answers, answer(request, request["begins"] or first))
            first = False
            del request
        except MemoryError:
            write_frame(answers, b"!" + json.dumps(["stopped", OUT_OF_MEMORY, 0]).encode())
            break
        except OSError:
            break
    os._exit(0)
