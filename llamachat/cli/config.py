"""`llamachat config`: the settings, where they come from, and the file."""

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Context, Option

from llamachat.cli.settings.file import config_path
from llamachat.errors import LlamaChatError, UsageError
from llamachat.terminal.asking import may_converse
from llamachat.terminal.schema import versioned


def config(
    context: Context,
    action: Annotated[
        Literal["show", "edit", "path"],
        Argument(help="show: print the settings; edit: open the file in an editor; path: print its path."),
    ] = "show",
    origin: Annotated[bool, Option("--origin", help="With show: print the origin of each setting.")] = False,
    output: Annotated[Literal["text", "json"], Option("--output", "-o", help="Output format.")] = "text",
) -> None:
    """Show or edit the settings: the default values of options.

    Every option is a setting, except --debug, --profile, --var, --version and --yes. --ctx-size, for example, is
    `ctx_size` in the configuration file (TOML), and an environment variable with the name in capitals behind
    LLAMACHAT_. A profile is a table of settings, chosen with --profile NAME or the variable LLAMACHAT_PROFILE:

    \b
      temp = 0.7
      stop = ["END", "STOP"]
      [profile.code]
      temp = 0.2
      [profile.brief]
      base = "code"
      n_predict = 100

    A profile inherits the settings of the profile that `base` names. Precedence, highest first: the command line, the
    environment, the head of a prompt (`run --prompt`), the profile, the rest of the file.
    An invalid setting is refused with its place. Each switch --name can be undone with --no-name. A setting that
    excludes an option of the command line is ignored.
    """
    if action == "path":
        from llamachat.terminal.table import print_text

        print_text(str(config_path()))
    elif action == "edit":
        _edit(config_path(), context)
    else:
        _show(context, origin, output)


def _show(context: Context, origin: bool, output: str) -> None:
    from llamachat.cli.settings.survey import records, survey, toml_lines
    from llamachat.terminal.sanitize import clean
    from llamachat.terminal.table import print_text

    found = survey(context)
    if output == "json":
        print(json.dumps([versioned(one) for one in records(found)], indent=2))
    else:
        print_text(clean("\n".join(toml_lines(found, origin))))


def _edit(path: Path, context: Context) -> None:
    """Opens the file in the person's editor and checks it; a new one begins with every setting as a comment."""
    from llamachat.cli.settings.survey import survey
    from llamachat.terminal.output import note

    if not may_converse():
        raise UsageError(f"config edit needs a terminal; the file is {path}")
    if not path.exists():
        _begin(path, context)
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("notepad" if os.name == "nt" else "vi")
    try:
        done = subprocess.run([*shlex.split(editor), str(path)], check=False)
    except (OSError, ValueError) as error:
        raise LlamaChatError(f"the editor {editor} cannot be started ({error}): set EDITOR to another one") from error
    if done.returncode:
        raise LlamaChatError(f"the editor {editor} ended with {done.returncode}; the file is {path}")
    n_set = sum(one.setting is not None and one.setting.file is not None for one in survey(context))
    note(f"{path}: {n_set} settings, nothing wrong")


def _begin(path: Path, context: Context) -> None:
    """A new file for this user only, in which every setting is a comment with its built-in value."""
    from llamachat.cli.settings.survey import built_in, toml_lines

    lines = ["# Settings of llamachat: take the # away from a line and change it. See `llamachat config --help`."]
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write("\n".join([*lines, *toml_lines(built_in(context), origin=False), ""]))
    except OSError as error:
        raise LlamaChatError(f"{path} cannot be written: {error.strerror or error}") from error
