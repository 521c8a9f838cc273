"""The options of `run` that say how a prompt is taken, how often, and what a cut answer means."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from typer import Option

from llamachat.cli.options import System, SystemFile
from llamachat.cli.prompt import system_text


class Form(StrEnum):
    """What becomes of a prompt before the model sees it."""

    RAW = "raw"
    CHAT = "chat"


@dataclass(frozen=True)
class RunMode:
    """Whether the prompt is continued or answered, how often, and what a cut answer means."""

    template: Annotated[
        Form | None,
        Option("--template", help="raw: the prompt is continued as it stands, by any model; chat: it is answered, "
               "through the chat template. [default: raw]"),
    ] = None  # fmt: skip
    chat: Annotated[bool | None, Option("--chat", help="As --template chat.", show_default=False)] = None
    system: System = None
    system_file: SystemFile = None
    parallel: Annotated[
        int | None,
        Option("--parallel", "-np", min=1, max=64, metavar="N", help="N answers side by side: that many of one prompt, "
               "or of --prompts at a time."),
    ] = None  # fmt: skip
    prompts: Annotated[
        Path | None,
        Option("--prompts", metavar="FILE", help="Inputs from a file, or - for standard input: on each "
               'line a JSON string, or an object with "prompt" and maybe "seed", "n_predict"; -p and --prompt are put '
               "around each."),
    ] = None  # fmt: skip
    fail_on_length: Annotated[bool, Option("--fail-on-length", help="Exit with 5 if the text was cut short.")] = False
    dry_run: Annotated[
        bool,
        Option("--dry-run", help="Show what the model would see, how many tokens that is, and the settings; load no "
               "weights."),
    ] = False  # fmt: skip

    def told(self) -> str | None:
        """The system prompt. Raises UsageError for a file that cannot be read."""
        return system_text(self.system, self.system_file)

    @property
    def answers(self) -> bool:
        """Whether the prompt goes through the chat template."""
        return bool(self.chat) or self.template is Form.CHAT

    @property
    def many(self) -> bool:
        """Whether there are several answers."""
        return self.parallel is not None or self.prompts is not None
