"""The program: `llamachat` and `python -m llamachat`. It turns every way to end into an exit code.

An error is one line on standard error; a traceback appears only with --debug or LLAMACHAT_DEBUG=1.
"""

# Before everything else: a Ctrl+C while Python imports the rest must not show a traceback.
from llamachat import beginning  # isort: skip

import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from llamachat import __version__
from llamachat.errors import ExitCode, LlamaChatError, UsageError
from llamachat.shortage import is_shortage

NO_MEMORY = "there is not enough memory: choose a smaller model or a smaller context (-c N), or close other programs"

COLLECTED_EVERY = (50_000, 20, 20)
"""When Python looks for cycles: modules make 130,000 objects that stay, and looking at them often takes 50 ms."""


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    beginning.leave_at_once()
    beginning.start_no_blas()
    gc.set_threshold(*COLLECTED_EVERY)
    sys.unraisablehook = _unraisable
    try:
        code = _outcome(sys.argv[1:])
        beginning.leave_at_once()
    except KeyboardInterrupt:  # a second one, while what the first had ended was put back or said
        beginning.leave_at_once()
        code = ExitCode.INTERRUPT
    sys.exit(_flushed(code))


def _unraisable(unraisable: Any) -> None:
    """A Ctrl+C that Python swallows, because it came within a callback or a destructor, is raised a little later."""
    if not isinstance(unraisable.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)
        return
    import signal
    from threading import Timer, main_thread

    again = Timer(0.01, signal.pthread_kill, (main_thread().ident, signal.SIGINT))
    again.daemon = True
    again.start()


def _outcome(arguments: list[str]) -> int:
    """The exit code of one command line; what went wrong has been said on standard error."""
    try:
        return _run(arguments)
    except BrokenPipeError:
        return ExitCode.BROKEN_PIPE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPT
    except LlamaChatError as error:
        code = ExitCode.MEMORY if is_shortage(error) else error.exit_code
        from llamachat.cli.hints import hinted

        return _said(hinted(error), code, _wants_traceback(arguments), getattr(error, "excerpt", ()))
    except Exception as error:
        if _interrupted_import(error):
            return ExitCode.INTERRUPT
        if is_shortage(error):
            return _said(NO_MEMORY, ExitCode.MEMORY, _wants_traceback(arguments))
        if isinstance(error, OSError):
            return _said(_system_error(error), ExitCode.ERROR, _wants_traceback(arguments))
        said = f"unexpected {type(error).__name__}: {error} (run again with --debug to see where)"
        return _said(said, ExitCode.ERROR, _wants_traceback(arguments))


def _interrupted_import(error: BaseException | None) -> bool:
    """Whether a library's import was interrupted, and it or Python made another error of that."""
    if isinstance(error, RuntimeError):  # before 3.12: within a __set_name__, as dataclasses have it for each field
        return isinstance(error.__cause__, KeyboardInterrupt)
    if not isinstance(error, ImportError | SystemError):
        return False
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _wants_traceback(arguments: list[str]) -> bool:
    """Whether LLAMACHAT_DEBUG or --debug asks for one; what follows an option may be its value, and no --debug."""
    if os.environ.get("LLAMACHAT_DEBUG", "0") not in ("", "0"):
        return True
    if "--debug" not in arguments:
        return False
    from llamachat.cli.app import wants_traceback

    return wants_traceback(arguments)


def _run(arguments: list[str]) -> int:
    """Runs one command line; Typer's errors become ours."""
    if arguments[:1] == ["--version"]:
        print(f"llamachat {__version__}")
        return ExitCode.DONE
    if arguments[:1] == ["__complete"]:  # a shell asks while a person types
        from llamachat.cli.candidates import print_candidates

        print_candidates(arguments[1:])
        return ExitCode.DONE
    for argument in arguments:
        _check_text(argument)
    from llamachat.endings import handle_termination

    handle_termination()
    # 60 ms of imports, which --version does without.
    from typer import Abort
    from typer import TyperException as WrongUsage

    from llamachat.cli.app import run_app

    beginning.raise_again()
    handle_termination()  # Ctrl+C, too
    try:
        return run_app(arguments)
    except Abort:
        return ExitCode.INTERRUPT
    except WrongUsage as error:
        from llamachat.cli.mistakes import sentence

        raise UsageError(sentence(error)) from error


def _check_text(argument: str) -> None:
    """Refuses an argument that is not UTF-8, which Python hides as lone surrogates, unless it names a file."""
    if argument.isascii() or os.path.exists(argument) or os.path.exists(argument.partition("=")[2]):
        return
    try:
        os.fsencode(argument).decode("utf-8")
    except UnicodeDecodeError as error:
        wrong = error.object[error.start]
        raise UsageError(
            f"the argument {error.object.decode('utf-8', 'replace')} is not UTF-8 text "
            f"(byte {wrong:#04x} at offset {error.start})"
        ) from error


def _said(message: str, code: ExitCode, debug: bool, excerpt: Sequence[str] = ()) -> ExitCode:
    """Prints the message as one line, the excerpt below it; returns the code. `debug`: the traceback comes first."""
    if debug:
        import traceback

        with suppress(OSError):
            traceback.print_exc()
    if sys.stderr is not None:
        with suppress(OSError):  # nobody is there to read it
            print("llamachat:", _one_line(message), file=sys.stderr, flush=True)
            for line in excerpt:
                print(f"  {_cleaned(line)}", file=sys.stderr, flush=True)
    return code


def _cleaned(line: str) -> str:
    """A line of an excerpt, its blanks kept."""
    from llamachat.terminal.sanitize import clean

    return clean(line)


def _one_line(message: str) -> str:
    """The message without line breaks and control bytes, which file names and foreign errors may carry."""
    from llamachat.terminal.sanitize import clean_line

    return clean_line(message)


def _system_error(error: OSError) -> str:
    """What the operating system said, with the file it said it about."""
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason


def _flushed(code: int) -> int:
    """The exit code after the last write of standard output, which may find the pipe broken or the disk full."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        code = ExitCode.BROKEN_PIPE
        _drop(1)
    except OSError as error:
        code = code or _said(f"standard output: {_system_error(error)}", ExitCode.ERROR, debug=False)
        _drop(1)
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except OSError:
        _drop(2)
    return code


def _drop(descriptor: int) -> None:
    """What is left in the buffer has nowhere to go: the interpreter's own flush must not complain about it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


if __name__ == "__main__":
    main()
