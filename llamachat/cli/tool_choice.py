"""The options for tools that a model may call."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

if TYPE_CHECKING:
    from llamachat.dialogue.tools.definition import Tool


@dataclass(frozen=True)
class ToolChoice:
    """Which tools there are, and whether the person is asked before one is run."""

    tools: Annotated[
        Path | None,
        Option("--tools", metavar="FILE", help="Tools that the model may call: a JSON list with name, "
               "description, parameters (a JSON schema) and command."),
    ] = None  # fmt: skip
    yes: Annotated[
        bool, Option("--yes", help="Run commands of tools, and download a missing model, without asking.")
    ] = False

    def given(self) -> "tuple[Tool, ...]":
        """The tools of the file. Raises UsageError for one that cannot be used."""
        if self.tools is None:
            return ()
        from llamachat.dialogue.tools.definition import read_tools

        return read_tools(self.tools, f"--tools {self.tools}")
