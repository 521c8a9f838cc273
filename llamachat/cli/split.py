"""`llamachat split`: one model file as several smaller ones."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from llamachat.cli.options import Overwrite
from llamachat.terminal.output import note
from llamachat.terminal.table import Column, print_table


def split(
    source: Annotated[Path, Argument(metavar="IN", help="A GGUF file.")],
    prefix: Annotated[Path, Argument(metavar="OUT", help="What the files' names begin with: OUT-00001-of-00003.gguf.")],
    max_size: Annotated[
        str | None,
        Option("--max-size", metavar="SIZE", help="Largest size of a file, as 2G or 500M (decimal units). A tensor "
               "that is larger has a file of its own."),
    ] = None,
    max_tensors: Annotated[
        int | None, Option("--max-tensors", min=1, metavar="N", help="Largest number of tensors in a file.")
    ] = None,
    dry_run: Annotated[bool, Option("--dry-run", help="Print which files would be written; write none.")] = False,
    overwrite: Overwrite = False,
) -> None:  # fmt: skip
    """Split a model file into several.

    The first file has the metadata; each loads the whole model when it is named. The command `merge` joins them again.
    """
    from llamachat.engine.gguf import open_gguf  # numpy, which --help does without
    from llamachat.engine.memory import parse_size, size_text
    from llamachat.prepare.splitting import plan_split, write_split
    from llamachat.terminal.bars import work_bars

    max_bytes = parse_size(max_size, "--max-size") if max_size is not None else 0
    file = open_gguf(source)
    parts = plan_split(file, prefix, max_bytes=max_bytes, max_tensors=max_tensors or 0)
    if not dry_run:
        with work_bars() as report:
            write_split(file, parts, overwrite=overwrite, report=report)
    columns = [Column("file"), Column("tensors", right=True), Column("size", right=True)]
    print_table(columns, [(str(one.path), str(len(one.tensors)), size_text(one.n_bytes)) for one in parts])
    if dry_run:
        note("nothing was written (--dry-run)")
