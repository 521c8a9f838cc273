"""A shell without any care for the terminal: it runs one job, and says how the job left the terminal when it stops.

Arguments: a file for the modes, then the command. A file of the name with ".go" makes the job continue (`fg`); the
modes at each stop are a line of JSON: echo, lines, newlines.
"""

import json
import os
import signal
import sys
import termios
import time
from pathlib import Path


def modes() -> list[bool]:
    found = termios.tcgetattr(0)
    return [bool(found[3] & termios.ECHO), bool(found[3] & termios.ICANON), bool(found[0] & termios.ICRNL)]


def main(told: Path, *command: str) -> int:
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execvp(command[0], command)
    go = told.with_suffix(".go")
    while True:
        _, status = os.waitpid(job, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            return os.waitstatus_to_exitcode(status) % 256
        with told.open("a") as file:
            file.write(json.dumps(modes()) + "\n")
        os.tcsetpgrp(0, os.getpgrp())
        while not go.exists():
            time.sleep(0.02)
        go.unlink()
        os.tcsetpgrp(0, job)
        os.killpg(job, signal.SIGCONT)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
