"""The input line on a real terminal, without a model: each message is printed as JSON, and whether it is one as it is.

Arguments: the folder of the history, then "vi" or "mono". Some messages make something happen: until the file `go` is
in the folder, keys are unseen after "speak" and the terminal's own after "rest"; "crash" ends in an error, and
after "again" the line begins with the message before.
"""

import json
import signal
import sys
import time
from contextlib import nullcontext, suppress
from pathlib import Path

from llamachat.__main__ import _flushed
from llamachat.errors import LlamaChatError
from llamachat.session.history import InputHistory
from llamachat.terminal.commands.base import Completion
from llamachat.terminal.echo import echo_off
from llamachat.terminal.input.reader import InputSettings, line_reader
from llamachat.terminal.restore import kept_terminal

COMMANDS = ("/help", "/set", "/system", "/file")
VALUES = ("temp", "top_k", "evil\x1b]0;name", "two  blanks", "broken\udce9")


def complete(text: str) -> list[Completion]:
    if text.startswith("/boom"):
        raise LlamaChatError("it cannot be completed")
    word, space, rest = text.partition(" ")
    if not text.startswith("/"):
        last = text.rpartition(" ")[2]
        return [Completion(path, len(last)) for path in ("./notes.txt",) if last and path.startswith(last)]
    if space:
        return [Completion(one, len(rest), f"value {one}") for one in VALUES if one.startswith(rest)]
    return [Completion(one, len(word), f"about {one[1:]}") for one in COMMANDS if one.startswith(word)]


def main(folder: Path, *how: str) -> None:
    told = [0]

    def status() -> str:
        told[0] += 1
        return f"asked {told[0]} of 4096 tokens · 漢字\x1b[31m · chatml"

    settings = InputSettings(status, complete, "vi" in how, "mono" not in how)
    read = line_reader(InputHistory(folder / "history.jsonl"), settings)
    before = text = ""
    while True:
        try:
            draft, before = before if text == "again" else "", text
            typed = read(draft)
            text = typed.text
        except KeyboardInterrupt:
            print("INTERRUPT", flush=True)
            continue
        except EOFError:
            with suppress(OSError):  # the terminal may be gone
                print("END", flush=True)
            return
        print("GOT", json.dumps(text), "LITERAL" if typed.literal else "", flush=True)
        if text in ("speak", "rest"):
            try:
                with echo_off() if text == "speak" else nullcontext():
                    print("SPEAKING", flush=True)
                    while not (folder / "go").exists():
                        time.sleep(0.01)
            except KeyboardInterrupt:
                print("STOPPED", flush=True)
        elif text == "crash":
            with kept_terminal():
                print("\x1b[?25l\x1b[?2004h", end="", flush=True)
                raise ZeroDivisionError


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    code = 0
    try:
        main(Path(sys.argv[1]), *sys.argv[2:])
    except SystemExit as end:
        code = int(end.code or 0)
    sys.exit(_flushed(code))
