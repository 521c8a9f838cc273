"""Ctrl+C while the program starts or ends, with nothing to restore: the process ends at once, without a message.

Imported first of all by `__main__`, because the imports after it take most of a start. A program that uses the library
is none of this module's business.
"""

# Only what is part of the interpreter, or loaded by it before: until this has run, a Ctrl+C shows a traceback.
# `signal` itself would load `enum` and `collections`, which takes longer than all else here.
import _signal  # type: ignore[import-not-found]
import atexit
import os
import sys

INTERRUPTED = 130
BLAS = "OPENBLAS_NUM_THREADS"
_taken = False


def leave_at_once() -> None:
    """From now on Ctrl+C ends the process without another word, unless it is ignored, as under nohup."""
    if _signal.getsignal(_signal.SIGINT) not in (_signal.SIG_IGN, None):
        _signal.signal(_signal.SIGINT, _leave)


def raise_again() -> None:
    """From now on Ctrl+C raises KeyboardInterrupt, as everywhere in Python."""
    if _signal.getsignal(_signal.SIGINT) is _leave:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)


def start_no_blas() -> None:
    """NumPy, where it is imported from now on, starts no threads of a library that nothing here uses: 0.1 s of them."""
    global _taken
    if BLAS not in os.environ:
        os.environ[BLAS], _taken = "1", True


def give_back_blas() -> None:
    """NumPy is imported: other programs, which this one starts, get the environment as it was."""
    global _taken
    if _taken:
        del os.environ[BLAS]
        _taken = False


def _leave(_number: int, _frame: object) -> None:
    os._exit(INTERRUPTED)


def _ignore() -> None:
    """The last of the program: Python gives the signal back to the kernel before it is gone."""
    _signal.signal(_signal.SIGINT, _signal.SIG_IGN)


def _is_program() -> bool:
    """Whether this process is the program: the script of that name, or `python -m llamachat`."""
    folder, name = os.path.split(sys.argv[0] if sys.argv else "")
    stem = name.partition(".")[0]
    return stem == "llamachat" or (stem == "__main__" and os.path.basename(folder) == "llamachat")


def begin() -> None:
    """The first step of the program."""
    leave_at_once()
    atexit.register(_ignore)  # the first to be registered is the last to run


if _is_program():
    begin()
