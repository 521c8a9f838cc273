"""Several answers of one `run`: to one prompt, or to many."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from llamachat.cli import loading
from llamachat.cli.manner import RunMode
from llamachat.cli.options import ModelChoice
from llamachat.cli.preview import Wanted
from llamachat.cli.prompt import STDIN, read_file, read_stdin
from llamachat.cli.report import ReportChoice
from llamachat.cli.run_prompt import RunPrompt
from llamachat.cli.template_choice import Reasoning
from llamachat.errors import EndedByLength, ExitCode
from llamachat.terminal.outgrowing import tell_endings

if TYPE_CHECKING:
    from llamachat.engine.generate import GenerationOptions
    from llamachat.terminal.batch import Line

SIDE_BY_SIDE = 8


def many_lines(prompt: RunPrompt, manner: RunMode, options: "GenerationOptions", data: str | None) -> "list[Line]":
    """The prompts with their options; data: the input of all of them, None for the lines of --prompts.

    Raises UsageError with the number of a faulty line.
    """
    from llamachat.terminal.batch import read_prompts, repeated

    if manner.prompts is None:
        return repeated(prompt.whole(data or ""), options, manner.parallel or 1)
    if manner.prompts == STDIN:
        text, name = read_stdin(), "--prompts, standard input"
    else:
        name = f"--prompts {manner.prompts}"
        text = read_file(manner.prompts, name)
    return [(prompt.whole(text), own) for text, own in read_prompts(text, name, options)]


def answer_many(
    model: ModelChoice, lines: "Sequence[Line]", wanted: Wanted, manner: RunMode, report: ReportChoice
) -> int:
    """Writes the answers; the exit code is that of the worst of them. Raises EndedByLength where that is wanted."""
    from llamachat.terminal.batch import requests, run_batch

    with loading.open_batch(model, min(manner.parallel or SIDE_BY_SIDE, len(lines)), report) as job:
        lines = [(prompt, loading.with_defaults(job.model, one)) for prompt, one in lines]
        echoed = [report.echoed(prompt.text, manner.answers) for prompt, _ in lines]
        template = wanted.template_of(job.model)
        job = replace(job, echoed=echoed, template=template, hides=wanted.template.reasoning is Reasoning.HIDE)
        stops = run_batch(job, requests(job, lines, wanted.system))
    for stop in stops:
        if stop.error is not None:
            raise stop.error
    tell_endings(stops, job.n_ctx)
    reasons = {stop.reason for stop in stops}
    if "cancelled" in reasons:
        return ExitCode.INTERRUPT
    if manner.fail_on_length and reasons & {"length", "context"}:
        raise EndedByLength("a text was cut short (--fail-on-length)")
    return ExitCode.DONE
