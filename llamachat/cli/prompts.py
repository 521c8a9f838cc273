"""`llamachat prompts`: the prompts that have a name."""

import json
from typing import Annotated, Any, Literal

from typer import Argument, Option

from llamachat.terminal.output import Output, note
from llamachat.terminal.schema import versioned
from llamachat.terminal.table import Column, print_table, print_text

COLUMNS = (Column("name"), Column("description"), Column("variables"), Column("source"), Column("note"))


def prompts(
    name: Annotated[str | None, Argument(metavar="[NAME]", help="Print this one instead.")] = None,
    output: Annotated[Literal["table", "json"], Option("--output", "-o", help="How to print them.")] = "table",
) -> None:
    """List the prompts that `run --prompt` knows, or print one.

    Yours are the files NAME.jinja in the folder `prompts` beside the configuration file (`llamachat config path`),
    which is in ~/.config/llamachat on Linux; one of the same name stands in for the program's. A file has a head
    between two lines of `---`, in TOML: `description`, settings of `run` by their names, as `temp = 0.2`, `stop` or
    `template = "chat"`, and below all others the table `[variables]` with a default for each. What follows is Jinja, in
    which {{ input }} is where -p, files and standard input go.
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
