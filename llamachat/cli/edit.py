"""`llamachat edit`: change metadata of a model file."""

from pathlib import Path
from typing import Annotated, Any

from typer import Argument, Option

from llamachat.cli.options import Overwrite
from llamachat.errors import UsageError
from llamachat.terminal.output import note
from llamachat.terminal.table import Column, print_table

LONGEST = 60
"""Characters of a value that are shown."""


def edit(
    source: Annotated[Path, Argument(metavar="FILE", help="A GGUF file.")],
    assignments: Annotated[
        list[str] | None,
        Argument(metavar="[KEY=VALUE...]", help="What is to be: KEY=VALUE, KEY=TYPE:VALUE, or KEY=@TEXTFILE. A new key "
                 "needs a type: str, int, float, bool, or an exact one as u32, i64, f32. [1, 2] is an array."),
    ] = None,
    delete: Annotated[
        list[str] | None, Option("--delete", metavar="KEY", help="Delete a key. May be given several times.")
    ] = None,
    output_file: Annotated[
        Path | None, Option("--output-file", "-o", metavar="FILE", help="Write a changed copy; FILE stays as it is.")
    ] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Print what would change, and write nothing.")] = False,
    overwrite: Overwrite = False,
) -> None:  # fmt: skip
    """Change metadata of a model file, as its name or its chat template.

    The change is made in place where no byte of the header moves, as for a number; otherwise a copy takes the file's
    place when it is whole. Tensors stay as they are.
    """
    from llamachat.engine.memory import size_text  # numpy, which --help does without
    from llamachat.prepare.editing import plan_edit, write_edit
    from llamachat.terminal.bars import work_bars

    if not assignments and not delete:
        raise UsageError("there is nothing to change: give KEY=VALUE, or --delete KEY")
    plan = plan_edit(source, assignments or (), delete or ())
    if not dry_run:
        with work_bars() as report:
            write_edit(plan, output_file, overwrite=overwrite, report=report)
    rows = [(one.key, _shown(one.before), _shown(one.after)) for one in plan.changes]
    print_table([Column("key"), Column("before"), Column("after")], rows)
    in_place = plan.in_place is not None and output_file is None
    how = "in place" if in_place else f"in a copy of {size_text(plan.n_bytes)}"
    note(f"would be changed {how}; nothing was written (--dry-run)" if dry_run else f"changed {how}")


def _shown(value: Any) -> str:
    """A value, short, on one line."""
    if value is None:
        return "(none)"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        text = " ".join(value.split())
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}... ({len(value)} characters)"
    if isinstance(value, int | float):
        return f"{value:.7g}" if isinstance(value, float) else str(value)
    some = ", ".join(str(one) for one in value[:4])
    return f"[{some}{', ...' if len(value) > 4 else ''}] ({len(value)})"
