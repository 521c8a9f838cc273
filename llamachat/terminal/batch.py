"""Several answers side by side: prompts from a file, and how their answers are printed."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from llamachat.dialogue.answer_only import AnswerOnly
from llamachat.dialogue.prompts import Prompt
from llamachat.dialogue.records import records
from llamachat.dialogue.thinking import thinking_of
from llamachat.engine.events import Event, Failed, Stop
from llamachat.engine.generate import GenerationOptions
from llamachat.engine.parallel import Batch, Request
from llamachat.errors import UsageError
from llamachat.templates.text import Worded
from llamachat.terminal.output import Output, note
from llamachat.terminal.schema import versioned
from llamachat.terminal.status import Status
from llamachat.terminal.stream import Stream

if TYPE_CHECKING:
    from llamachat.engine.model import Model
    from llamachat.templates.renderer import ChatTemplate

SEPARATOR = "---"
Line = tuple[Worded, GenerationOptions]
Input = tuple[str, GenerationOptions]


@dataclass(frozen=True)
class BatchRun:
    """What several answers need besides their prompts.

    form: "text", "json" (a line for each answer) or "jsonl" (a line for each event). echoed: what is put out before
    each answer. template: what the prompts go through; None where they are continued as they stand. hides: answers are
    put out without the thoughts before them.
    """

    model: "Model"
    batch: Batch
    status: Status
    n_ctx: int
    load_s: float
    form: str = "text"
    verbose: bool = False
    echoed: Sequence[str] = ()
    template: "ChatTemplate | None" = None
    hides: bool = False


def read_prompts(text: str, name: str, options: GenerationOptions) -> list[Input]:
    """The prompts of JSON lines with their options. Raises UsageError with the number of a faulty line.

    name: where the lines come from, in messages.
    """
    numbered = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not numbered:
        raise UsageError(f"{name} holds no prompts: each line is a JSON string or an object")
    return [_line(line, f"{name}, line {n}", options) for n, line in numbered]


def _line(line: str, where: str, options: GenerationOptions) -> Input:
    try:
        given = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: not JSON ({error})") from error
    fields: dict[str, Any] = {"prompt": given} if isinstance(given, str) else given
    if not isinstance(fields, dict) or not isinstance(fields.get("prompt"), str) or not fields["prompt"]:
        raise UsageError(f'{where}: a JSON string, or an object with "prompt", is needed')
    unknown = sorted(set(fields) - {"prompt", "seed", "n_predict"})
    if unknown:
        raise UsageError(f"{where}: unknown key {unknown[0]!r}; known are prompt, seed, n_predict")
    try:
        sampling = replace(options.sampling, seed=fields.get("seed", options.sampling.seed))
        n_predict = fields.get("n_predict", options.max_tokens)
        return fields["prompt"], replace(options, sampling=sampling, max_tokens=n_predict)
    except UsageError as error:
        said = str(error).replace("max_tokens", "n_predict", 1)  # the field's name in these lines
        raise UsageError(f"{where}: {said}") from error


def repeated(prompt: Worded, options: GenerationOptions, n: int) -> list[Line]:
    """The same prompt n times; a seed counts on."""
    seed = options.sampling.seed
    seeds = [seed if seed < 0 else seed + i for i in range(n)]
    return [(prompt, replace(options, sampling=replace(options.sampling, seed=one))) for one in seeds]


def requests(job: BatchRun, lines: Sequence[Line], system: str | None) -> list[Request]:
    """The prompts as tokens, each through the chat template if there is one. Raises ContextFull."""
    prompts = [(Prompt(worded, job.template, system), options) for worded, options in lines]
    return [Request(one.tokens(job.model.tokenizer, job.n_ctx), one.options(options)) for one, options in prompts]


def run_batch(job: BatchRun, wanted: Sequence[Request]) -> list[Stop]:
    """Writes the answers in the order of their prompts, and returns how they ended.

    Where some failed, the others are written all the same; then what the first of them raised is raised.
    """
    started, printer = time.perf_counter(), _Printer(job, wanted)
    events = job.batch.answers(wanted, lambda done, total: job.status.progress("reading a prompt", done, total))
    with Stream(events, job.batch) as stream:
        for index, event in stream:
            job.status.clear()
            printer.event(index, event)
    job.status.clear()
    if job.verbose or (job.status.enabled and job.form == "text"):
        n, seconds = printer.n_tokens, time.perf_counter() - started
        note(f"[{len(wanted)} answers, {n} tokens in {seconds:.2f} s, {n / seconds:.0f} tokens/s]")
    failures = printer.failures
    for number, error in failures[1:]:
        note(f"prompt {number}: {error}")
    if failures:
        raise failures[0][1]
    return printer.stops


class _Printer:
    """Keeps the events of each answer until it is its turn."""

    def __init__(self, job: BatchRun, wanted: Sequence[Request]) -> None:
        n_answers = len(wanted)
        self._form, self._output = job.form, Output()
        self._echoed = job.echoed or [""] * n_answers
        self._shown: list[AnswerOnly] = []
        if job.hides and job.template is not None:
            source, tokenizer = job.template.source, job.model.tokenizer
            self._shown = [AnswerOnly(thinking_of(source, tokenizer, one.prompt)) for one in wanted]
        self._records = records(job.model.tokenizer, job.load_s, job.n_ctx)
        self._events: list[list[Event]] = [[] for _ in range(n_answers)]
        self._next = 0

    def event(self, index: int, event: Event) -> None:
        """Takes an event, and writes what can be written."""
        event = self._shown[index].of(event) if self._shown else event
        self._events[index].append(event)
        if self._form == "jsonl":
            if self._echoed[index] and len(self._events[index]) == 1:
                self._write({"index": index, "event": "prompt", "text": self._echoed[index]})
            self._write({"index": index, **self._records.of(event)})
            return
        while self._next < len(self._events) and any(
            isinstance(e, Stop | Failed) for e in self._events[self._next][-1:]
        ):
            self._answer(self._next, self._events[self._next])
            self._next += 1

    @property
    def stops(self) -> list[Stop]:
        """How the answers ended."""
        return [event for events in self._events for event in events[-1:] if isinstance(event, Stop)]

    @property
    def failures(self) -> list[tuple[int, Exception]]:
        """Numbers of the prompts that could not be answered, from 1 on, and what was raised."""
        ends = [(number, events[-1]) for number, events in enumerate(self._events, 1) if events]
        return [(number, event.error) for number, event in ends if isinstance(event, Failed)]

    @property
    def n_tokens(self) -> int:
        """How many tokens were generated."""
        return sum(stop.timings.n_generated for stop in self.stops)

    def _answer(self, index: int, events: list[Event]) -> None:
        if self._form == "json":
            echoed = {"prompt": self._echoed[index]} if self._echoed[index] else {}
            self._write({"index": index, **echoed, **self._records.whole(events)})
            return
        if index:
            self._output.write(f"{SEPARATOR}\n")
        self._output.write(self._echoed[index] + "".join(event.text for event in events))
        self._output.end_line()

    def _write(self, record: dict[str, Any]) -> None:
        self._output.write(json.dumps(versioned(record), ensure_ascii=False) + "\n")
