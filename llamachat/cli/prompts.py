"""`llamachat prompts`: the prompts that have a name."""

import json
from typing import Annotated, Any, Literal

from typer import Argument, Option

from llamachat.terminal.output import Output, note
from llamachat.terminal.schema import versioned
from llamachat.terminal.table import Column, print_table, print_text

COLUMNS = (Column("name"), Column("description"), Column("variables"), Column("source"), Column("note"))


def prompts(
    name: Annotated[str | None, Argument(metavar="[NAME]", help="Print this prompt instead.")] = None,
    output: Annotated[Literal["table", "json"], Option("--output", "-o", help="Output format.")] = "table",
) -> None:
    """List the prompts for `run --prompt`, or print one.

    Your own prompts are files NAME.jinja in the folder `prompts` beside the configuration file (`llamachat config
    path`), on Linux in ~/.config/llamachat; they replace built-in prompts of the same name. A file starts with a head
    in TOML between two lines of `---`: `description`, settings of `run` such as `temp = 0.2` or `template = "chat"`,
    and last the table `[variables]` with their defaults. The rest is Jinja; {{ input }} is replaced by -p, files and
    standard input.
    """
    from llamachat.cli.prompt_library.listing import records  # here and below: what --help does without
    from llamachat.cli.prompt_library.reading import open_prompt

    if name is not None:
        path = open_prompt(name).path
        shown = _json(versioned(records([path])[0])) if output == "json" else path.read_text("utf-8-sig").rstrip("\n")
        Output().write(f"{shown}\n")
        return
    listed = records()
    if output == "json":
        print_text(_json([versioned(one) for one in listed]))
    elif listed:
        print_table(COLUMNS, [_row(one) for one in listed])
    else:
        note("there are no prompts on this machine")


def _json(found: Any) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False)


def _row(record: dict[str, Any]) -> list[str]:
    return [record["name"], record["description"], ", ".join(record["variables"]), record["source"], record["problem"]]
