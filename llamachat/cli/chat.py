"""`llamachat chat`: a conversation through the model's own chat template."""

import sys

from llamachat.cli import loading
from llamachat.cli.constraint import ConstraintChoice
from llamachat.cli.options import LengthChoice, ModelChoice, System, Verbose
from llamachat.cli.prompt import read_stdin
from llamachat.cli.speculation import SpeculationChoice
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import ExitCode, UsageError


def chat(
    model: ModelChoice,
    length: LengthChoice,
    sampling: SamplingOptions,
    constraint: ConstraintChoice,
    speculation: SpeculationChoice,
    system: System = None,
    verbose: Verbose = False,
) -> int:
    """Talk with a model.

    Ctrl+C stops an answer, Ctrl+D leaves, /help lists the commands. Where standard input or output is not a terminal,
    all of standard input is one message, and its answer all output.
    """
    options = length.options(sampling, constraint)
    talking = all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))
    message = "" if talking else read_stdin()
    if not talking and not message:
        raise UsageError("standard input is empty: there is no message to answer")
    with loading.open_speaker(model, options, speculation) as opened:
        speaker = opened.answering()
        if talking:
            from llamachat.terminal.chat import ChatLoop  # prompt_toolkit, which a pipe does without

            ChatLoop(speaker, speaker.conversation(system), verbose).run()
            return ExitCode.DONE
        answer = speaker.speak(speaker.conversation(system).tokens(message))
        speaker.output.end_line()
        if verbose:
            speaker.report(answer)
        return ExitCode.INTERRUPT if answer.reason == "cancelled" else ExitCode.DONE
