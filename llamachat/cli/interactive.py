"""`llamachat interactive`: the classic mode, a text that model and person write in turns."""

from dataclasses import dataclass
from typing import Annotated

from typer import Option

from llamachat.cli import loading
from llamachat.cli.constraint import ConstraintChoice
from llamachat.cli.options import LengthChoice, ModelChoice, PromptChoice
from llamachat.cli.prompt import STDIN, optional_prompt
from llamachat.cli.prompt_cache import PromptCacheChoice
from llamachat.cli.speculation import SpeculationChoice
from llamachat.engine.sampling.options import SamplingOptions
from llamachat.errors import UsageError
from llamachat.terminal.asking import input_is_forbidden


@dataclass(frozen=True)
class Turns:
    """When it is the person's turn, and the text around their input."""

    reverse_prompt: Annotated[
        list[str] | None,
        Option("--reverse-prompt", "-r", metavar="TEXT", help="Stop after this text and wait for input. May be "
               "given several times."),
    ] = None  # fmt: skip
    in_prefix: Annotated[str, Option("--in-prefix", metavar="TEXT", help="Text to insert before the input.")] = ""
    in_suffix: Annotated[str, Option("--in-suffix", metavar="TEXT", help="Text to insert after the input.")] = ""
    in_prefix_bos: Annotated[bool, Option("--in-prefix-bos", help="Insert a BOS token before --in-prefix.")] = False
    interactive_first: Annotated[
        bool, Option("--interactive-first", "-if", help="Wait for input first, whatever the prompt is.")
    ] = False
    multiline_input: Annotated[
        bool,
        Option(
            "--multiline-input",
            "-mli",
            help=r"Return starts a new line; \ at the end of a line sends "
            r"the input.",
        ),
    ] = False
    escape: Annotated[
        bool,
        Option("--escape/--no-escape", "-e", help=r"Replace \n, \t, \xHH ... in prompt, reverse prompts, prefix, "
               r"suffix and input."),
    ] = True  # fmt: skip
    display_prompt: Annotated[bool, Option("--display-prompt/--no-display-prompt", help="Print the prompt.")] = True
    color: Annotated[bool, Option("--color", help="Print the prompt and the input in colour.")] = False
    simple_io: Annotated[
        bool, Option("--simple-io", help="Accepted for old scripts; line editing is always the terminal's.")
    ] = False

    def __post_init__(self) -> None:
        if "" in (self.reverse_prompt or []):
            raise UsageError("--reverse-prompt: an empty text would stop the model before its first word")

    def text(self, text: str) -> str:
        """A text of the command line, with its escapes put in where that is wanted."""
        from llamachat.terminal.escapes import unescaped

        return unescaped(text) if self.escape else text


def interactive(
    model: ModelChoice,
    prompt: PromptChoice,
    length: LengthChoice,
    sampling: SamplingOptions,
    constraint: ConstraintChoice,
    speculation: SpeculationChoice,
    turns: Turns,
    kept: PromptCacheChoice,
) -> int:
    r"""Write a text in turns with a model.

    The model continues the text until a reverse prompt, then you type, and so on.

    Ctrl+C interrupts the model; at your turn it quits, as does Ctrl+D. After an empty line the model continues. A line
    that ends with \ continues in the next line; one that ends with / has no line break. -n counts the tokens of both;
    when they are used up it is your turn.
    """
    if input_is_forbidden():
        raise UsageError("interactive waits for what you type, and --no-input forbids to ask: use `llamachat run`")
    if STDIN in (prompt.file or ()):
        raise UsageError("-f -: in this mode standard input is for typing; give the prompt in a file")
    text, options = turns.text(optional_prompt(prompt, stdin=False)), length.options(sampling, constraint, True)
    from llamachat.terminal.console import Console  # the engine, which --help does without
    from llamachat.terminal.interactive import Interactive, Looks, Wording

    console = Console()
    with loading.open_responder(model, options, speculation, console) as responder:
        wording = Wording(
            reverse=tuple(turns.text(one) for one in turns.reverse_prompt or ()),
            prefix=turns.text(turns.in_prefix),
            suffix=turns.text(turns.in_suffix),
            bos=turns.in_prefix_bos,
            escapes=turns.escape,
            several_lines=turns.multiline_input,
        )
        looks = Looks(turns.color, turns.display_prompt)
        keeper = kept.keeper(console.status.enabled)
        return Interactive(responder, wording, console, looks, keeper).run(text, turns.interactive_first)
