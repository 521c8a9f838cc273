"""The program: `llamachat` and `python -m llamachat`. It turns every way to end into an exit code.

An error is one line on standard error; a traceback appears only with --debug or LLAMACHAT_DEBUG=1.
"""

import os
import signal
import sys
from types import FrameType

from llamachat import __version__
from llamachat.errors import ExitCode, LlamaChatError


def main() -> None:
    """Runs the command line and ends the process with its exit code."""
    if sys.argv[1:2] == ["--version"]:
        print(f"llamachat {__version__}")
        return
    arguments, debug = _without_debug(sys.argv[1:])
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(_flushed(_outcome(arguments, debug)))


def _without_debug(arguments: list[str]) -> tuple[list[str], bool]:
    """The arguments less --debug, which may stand anywhere before a `--`, and whether it was there."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    kept = [argument for argument in arguments[:end] if argument != "--debug"]
    return kept + arguments[end:], len(kept) < end or os.environ.get("LLAMACHAT_DEBUG", "0") not in ("", "0")


def _outcome(arguments: list[str], debug: bool) -> int:
    """The exit code of one command line; what went wrong has been said on standard error."""
    # The command line costs 60 ms of imports, which --version does without.
    from typer import Abort
    from typer import TyperException as WrongUsage

    from llamachat.cli.app import run_app

    try:
        return run_app(arguments)
    except BrokenPipeError:
        return ExitCode.BROKEN_PIPE
    except (KeyboardInterrupt, Abort):
        return ExitCode.INTERRUPT
    except LlamaChatError as error:
        return _said(str(error), error.exit_code, debug)
    except WrongUsage as error:
        return _said(_sentence(error.format_message()), ExitCode.USAGE, debug)
    except OSError as error:
        return _said(_system_error(error), ExitCode.ERROR, debug)
    except Exception as error:
        said = f"unexpected {type(error).__name__}: {error} (run again with --debug to see where)"
        return _said(said, ExitCode.ERROR, debug)


def _said(message: str, code: ExitCode, debug: bool) -> ExitCode:
    """Prints the message as one line and returns the code; with `debug`, the traceback comes first."""
    if debug:
        import traceback

        traceback.print_exc()
    if sys.stderr is not None:
        print("llamachat:", _one_line(message), file=sys.stderr)
    return code


def _one_line(message: str) -> str:
    """The message without line breaks and control bytes, which file names and foreign errors may carry."""
    from llamachat.terminal.sanitize import clean_line

    return clean_line(message)


def _sentence(message: str) -> str:
    """Typer's message in the voice of our own: no capital, no full stop, and where to look."""
    return f"{message[:1].lower()}{message[1:].rstrip('.')} (--help lists what there is)"


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
    except OSError as error:
        code = code or _said(f"standard output: {_system_error(error)}", ExitCode.ERROR, debug=False)
    else:
        return code
    # What is left in the buffer has nowhere to go: the interpreter's own flush must not complain about it again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return code


def _terminated(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM unwinds the stack, so that the terminal is restored and the workers stop."""
    raise SystemExit(ExitCode.TERMINATED)


if __name__ == "__main__":
    main()
