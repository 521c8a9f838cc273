"""The prompts as records, for lists and for shells."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llamachat.cli.prompt_library.places import ENDING, is_shipped, prompt_paths
from llamachat.cli.prompt_library.reading import read_prompt
from llamachat.errors import UsageError


def records(paths: Sequence[Path] | None = None) -> list[dict[str, Any]]:
    """What there is to know of each prompt; `problem` is why it cannot be used, else ""."""
    return [_record(path) for path in (prompt_paths().values() if paths is None else paths)]


def _record(path: Path) -> dict[str, Any]:
    where = {"source": "llamachat" if is_shipped(path) else "yours", "path": str(path)}
    try:
        found = read_prompt(path)
    except UsageError as error:
        name = path.name.removesuffix(ENDING)
        return {"name": name, "description": "", "variables": {}, "settings": {}, **where, "problem": str(error)}
    variables = {name: variable.default for name, variable in found.variables.items()}
    described = {"name": found.name, "description": found.description, "variables": variables}
    return {**described, "settings": found.settings.table, **where, "problem": ""}
