"""The options of `run`: what its prompt is made of, how it is taken and how often, how the text is printed."""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from llamachat.cli.options import Files, LengthChoice, System, SystemFile, Verbose
from llamachat.cli.prompt import STDIN, argument, read_file, read_files, system_text
from llamachat.errors import UsageError
from llamachat.templates.text import Worded

if TYPE_CHECKING:
    from llamachat.cli.prompt_library.filling import Filling
    from llamachat.dialogue.responder import Responder
    from llamachat.engine.sampling.options import SamplingOptions
    from llamachat.terminal.output import Output

PLACE = re.compile(r"\{\{input\}\}|\{input\}")
"""Where the input goes; doubled braces are the text itself."""


@dataclass(frozen=True)
class RunPrompt:
    """Where the prompt comes from."""

    positional: Annotated[
        str | None, Argument(metavar="[PROMPT]", help="The prompt, as with -p; `-` is standard input.")
    ] = None
    text: Annotated[
        str | None,
        Option("--text", "-p", metavar="TEXT", help="The prompt. {input} in it is replaced by files and standard "
               "input, which otherwise follow it; @FILE reads the text from a file; {{input}} and @@ are these "
               "characters."),
    ] = None  # fmt: skip
    file: Files = None
    prompt_name: Annotated[
        str | None,
        Option("--prompt", metavar="NAME", is_eager=True, help="A prompt from `llamachat prompts`, or a file of "
               "this kind, NAME.jinja; -p, files and standard input are its input."),
    ] = None  # fmt: skip
    var: Annotated[
        list[str] | None,
        Option("--var", metavar="NAME=VALUE", help="Set a variable of --prompt; @FILE reads the value from a "
               "file. May be given several times."),
    ] = None  # fmt: skip
    escape: Annotated[
        bool,
        Option("--escape/--no-escape", "-e", help=r"Replace \n, \t, \xHH ... in -p and --stop, but not in files "
               r"and standard input."),
    ] = True  # fmt: skip

    def __post_init__(self) -> None:
        if self.positional == "":
            raise UsageError("the prompt is empty: give -p TEXT, `-` for standard input, -f FILE or --prompt NAME")

    def check_typed(self, names: Collection[str]) -> None:
        """Raises UsageError for a model where the prompt stands."""
        if "positional" in names and "model" not in names:
            from llamachat.cli.model_words import check_text  # what other command lines do without

            check_text(self.positional)

    def whole(self, data: str) -> Worded:
        """The prompt with this input, never empty. Raises UsageError where there is none."""
        if self._filling is not None:
            prompt = self._filling.worded(self._around(data))
            is_empty = not prompt.text
        else:
            text = self._around(data)
            prompt, is_empty = Worded([(text, False)]), not text
        if is_empty:
            raise UsageError(
                "the prompt is empty: give -p TEXT, a text alone, -f FILE, --prompt NAME, or standard input"
            )
        return prompt

    def data(self) -> str:
        """What files and standard input hold. Raises UsageError for what cannot be read, or is no text."""
        files = list(self.file or ())
        if self.positional == str(STDIN) and STDIN not in files:
            files.append(STDIN)
        return read_files(files, stdin=True)

    def _around(self, data: str) -> str:
        if self._text is None:
            return data
        places = PLACE.findall(self._text)
        if "{input}" not in places:
            return "\n\n".join(filter(None, [PLACE.sub("{input}", self._text), data]))
        if not data:
            raise UsageError(
                "the prompt says {input}, and there is none: pipe a text in, give -f FILE, or write {{input}} "
                "for the word itself"
            )
        return PLACE.sub(lambda found: data if found[0] == "{input}" else "{input}", self._text)

    def system(self, given: str | None, data: str | None) -> str | None:
        """The system prompt, filled in where it is the library's; data: None where each answer has an input of its own.

        Raises UsageError where it needs an input and there is none.
        """
        if self._filling is None:
            return given
        return self._filling.system(given, None if data is None else self._around(data))

    def length(self, length: LengthChoice) -> LengthChoice:
        """The same with escapes put into its stop texts."""
        return replace(length, stop=[self._unescaped(text) for text in length.stop or ()])

    @cached_property
    def _text(self) -> str | None:
        """-p as it is meant."""
        given = self.text if self.positional is None else self.positional
        if given is None or self.positional == str(STDIN):
            return None
        if _is_file(given):
            return _included(given, "-p" if self.positional is None else "PROMPT")
        return self._unescaped(argument(_without_doubled(given)))

    @cached_property
    def _filling(self) -> "Filling | None":
        if self.prompt_name is None:
            return None
        from llamachat.cli.prompt_library.filling import Filling
        from llamachat.cli.prompt_library.reading import open_prompt

        return Filling(open_prompt(self.prompt_name), dict(map(_variable, self.var or ())))

    def _unescaped(self, text: str) -> str:
        from llamachat.terminal.escapes import unescaped

        return unescaped(text) if self.escape else text


class Form(StrEnum):
    """How the model gets a prompt."""

    RAW = "raw"
    CHAT = "chat"


@dataclass(frozen=True)
class RunMode:
    """Whether the prompt is continued or answered, how often, and what a cut answer means."""

    template: Annotated[
        Form | None,
        Option("--template", help="raw: the model continues the prompt as it stands; chat: the prompt goes "
               "through the chat template, and the model answers. [default: raw]"),
    ] = None  # fmt: skip
    chat: Annotated[bool | None, Option("--chat", help="Short for --template chat.", show_default=False)] = None
    system: System = None
    system_file: SystemFile = None
    parallel: Annotated[
        int | None,
        Option("--parallel", "-np", min=1, max=64, metavar="N", help="Generate N answers at the same time: N "
               "answers to one prompt, or N prompts of --prompts."),
    ] = None  # fmt: skip
    prompts: Annotated[
        Path | None,
        Option("--prompts", metavar="FILE", help="Read inputs from a file, or - for standard input. Each line is "
               'a JSON string, or an object with "prompt" and optionally "seed", "n_predict". -p or --prompt '
               "is applied to each."),
    ] = None  # fmt: skip
    fail_on_length: Annotated[bool, Option("--fail-on-length", help="Exit with 5 if the text was cut short.")] = False
    dry_run: Annotated[
        bool,
        Option("--dry-run", help="Print the prompt as the model would get it, its number of tokens and the "
               "settings; load no weights."),
    ] = False  # fmt: skip

    def system_text(self) -> str | None:
        """The system prompt; None where there is none. Raises UsageError for a file that cannot be read."""
        return system_text(self.system, self.system_file)

    @property
    def answers(self) -> bool:
        """Whether the prompt goes through the chat template."""
        return bool(self.chat) or self.template is Form.CHAT

    @property
    def many(self) -> bool:
        """Whether there are several answers."""
        return self.parallel is not None or self.prompts is not None


class Format(StrEnum):
    """How answers are printed."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"


@dataclass(frozen=True)
class ReportChoice:
    """How the answer is printed, and what is said on standard error."""

    output: Annotated[
        Format,
        Option("--output", "-o", help="text; json: one object with text, stop reason and timings; jsonl: one "
               "line per token."),
    ] = Format.TEXT  # fmt: skip
    logprobs: Annotated[
        int | None,
        Option("--logprobs", min=0, max=100, metavar="N", help="With json and jsonl: the log-probability of each "
               "token, and those of N alternatives."),
    ] = None  # fmt: skip
    timings: Annotated[bool, Option("--timings", help="Print timings on standard error.")] = False
    verbose: Verbose = False
    quiet: Annotated[bool, Option("--quiet", "-q", help="Print only errors on standard error.")] = False
    echo: Annotated[
        bool, Option("--echo", help="Print the prompt before the text; with json and jsonl as the field `prompt`.")
    ] = False

    def sampling(self, sampling: "SamplingOptions") -> "SamplingOptions":
        """The samplers' settings, with log-probabilities if they are wanted."""
        return replace(sampling, logprobs=self.logprobs)

    def silence(self) -> None:
        """Keeps standard error for errors, where that is wanted."""
        from llamachat.terminal.output import be_quiet

        if self.quiet:
            be_quiet()

    def echoed(self, text: str, answers: bool) -> str:
        """What of the prompt is put out before the text, "" for nothing; an answer begins a new paragraph."""
        if not self.echo:
            return ""
        return f"{text}\n\n" if answers and self.output is Format.TEXT else text

    def printer(self, responder: "Responder", output: "Output") -> "Output":
        """Where answers go; output: standard output."""
        from llamachat.dialogue.records import records
        from llamachat.terminal.json_output import JsonLines, JsonObject
        from llamachat.terminal.words import WordOutput

        if self.output is Format.TEXT:
            return output if output.is_terminal else WordOutput()
        made = records(responder.model.tokenizer, responder.load_s, responder.context.n_ctx)
        return JsonLines(made) if self.output is Format.JSONL else JsonObject(made)


def _variable(given: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not name:
        raise UsageError(f"--var {given}: a variable is NAME=VALUE")
    return name, _included(value, "--var") if _is_file(value) else _without_doubled(value)


def _is_file(text: str) -> bool:
    return text.startswith("@") and text[1:2] not in ("", "@")


def _included(text: str, option: str) -> str:
    """What the file behind the @ holds."""
    try:
        return read_file(Path(text[1:]).expanduser(), f"{option} {text}")
    except RuntimeError as error:
        raise UsageError(f"{option} {text}: there is no such home directory") from error
    except UsageError as error:
        raise UsageError(f"{error}; a text that begins with @ is written @@") from error


def _without_doubled(text: str) -> str:
    return text[1:] if text.startswith("@@") else text
