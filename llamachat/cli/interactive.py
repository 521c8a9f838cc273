"""`llamachat interactive`: the classic mode, a text that model and person write in turns."""

from dataclasses import dataclass
from typing import Annotated

from typer import Option

from llamachat.cli import loading
from llamachat.cli.constraint import ConstraintChoice
from llamachat.cli.options import LengthChoice, ModelChoice, PromptChoice
from llamachat.cli.prompt import STDIN, optional_prompt
from llamachat.cli.speculation import SpeculationChoice
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import UsageError


@dataclass(frozen=True)
class Turns:
    """When the person's turn comes, and what stands around what they type."""

    reverse_prompt: Annotated[
        list[str] | None,
        Option("--reverse-prompt", "-r", metavar="TEXT", help="Stop after TEXT and let the person type. May be given "
               "several times."),
    ] = None  # fmt: skip
    in_prefix: Annotated[str, Option("--in-prefix", metavar="TEXT", help="Put before what the person types.")] = ""
    in_suffix: Annotated[str, Option("--in-suffix", metavar="TEXT", help="Put after what the person types.")] = ""
    color: Annotated[bool, Option("--color", help="Show what the person types in colour.")] = False

    def __post_init__(self) -> None:
        if "" in (self.reverse_prompt or []):
            raise UsageError("--reverse-prompt: an empty text would stop the model before its first word")


def interactive(
    model: ModelChoice,
    prompt: PromptChoice,
    length: LengthChoice,
    sampling: SamplingOptions,
    constraint: ConstraintChoice,
    speculation: SpeculationChoice,
    turns: Turns,
) -> None:
    r"""Write a text in turns with a model.

    The model continues the text until a reverse prompt, then the person types, and so on.

    Ctrl+C interrupts the model, Ctrl+D ends. An empty line lets the model go on; a line that ends with \ goes on in the
    next line, and one that ends with / is taken without its line break.
    """
    if STDIN in (prompt.file or ()):
        raise UsageError("-f -: standard input is where the person types in this mode; give the prompt in a file")
    text, options = optional_prompt(prompt, stdin=False), length.options(sampling, constraint)
    with loading.open_speaker(model, options, speculation) as speaker:
        from llamachat.terminal.interactive import Interactive, Wording  # the engine, which --help does without

        wording = Wording(tuple(turns.reverse_prompt or ()), turns.in_prefix, turns.in_suffix)
        Interactive(speaker, wording, turns.color).run(text)
