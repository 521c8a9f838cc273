"""Memory that runs out is exit code 7, whatever said so and whatever it was turned into."""

import errno
import os
import resource
import subprocess
import sys

import pytest

from llamachat.engine.memory import available_memory
from llamachat.errors import LlamaChatError, ModelFileError, UsageError
from llamachat.shortage import is_shortage


def turned(into, cause):
    try:
        try:
            raise cause
        except Exception as error:
            raise into from error
    except Exception as error:
        return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), True),
        (RuntimeError("can't start new thread"), True),
        (ImportError("libx.so: failed to map: Cannot allocate memory"), True),
        (turned(UsageError("only 1 of 2 threads"), RuntimeError("can't start new thread")), True),
        (turned(ModelFileError("cannot be read"), OSError(errno.ENOMEM, "x")), True),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (LlamaChatError("Cannot allocate memory"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_is_of_memory(error, expected):
    assert is_shortage(error) == expected


@pytest.mark.parametrize("raised", ["MemoryError()", "OSError(12, 'Cannot allocate memory')"])
def test_the_program_ends_with_7_and_one_line(raised):
    code = (
        "import sys; sys.argv = ['llamachat', 'models']\n"
        "import llamachat.__main__ as program\n"
        f"def run(_): raise {raised}\n"
        "program._run = run\n"
        "program.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (7, 1)
    assert "-c N" in done.stderr


def test_a_limit_of_addresses_is_known_before_a_model_is_loaded():
    code = (
        "import resource\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))\n"
        "from llamachat.engine.backend.choose import choose\n"
        "from llamachat.engine.backend.interface import Settings\n"
        "from llamachat.engine.memory import available_memory\n"
        "for threads in (1, 8):\n"
        "    device = choose().open(Settings(threads))\n"
        "    print(available_memory(reserved_addresses=device.reserved_addresses))\n"
    )
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY or not os.path.exists("/proc/self/statm"):
        pytest.skip("needs a process without a limit, and /proc")
    own = {name: value for name, value in os.environ.items() if name != "LLAMACHAT_MEMORY"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=own, check=True)
    alone, with_workers = map(int, done.stdout.split())
    assert alone < 1 << 31
    assert with_workers <= max(0, alone - 7 * (64 << 20))  # what the C library keeps for each
    assert available_memory() > 0
