"""`llamachat merge`: the files of a split model as one."""

from pathlib import Path
from typing import Annotated

from typer import Argument

from llamachat.cli.options import Overwrite
from llamachat.terminal.table import print_text


def merge(
    first: Annotated[Path, Argument(metavar="FIRST", help="A file of the split model, as model-00001-of-00003.gguf.")],
    target: Annotated[Path, Argument(metavar="OUT", help="The file to write.")],
    overwrite: Overwrite = False,
) -> None:
    """Merge the files of a split model into one.

    The others are found by their names in the same folder; they stay.
    """
    from llamachat.engine.memory import size_text
    from llamachat.prepare.splitting import merge as merged  # numpy, which --help does without
    from llamachat.terminal.bars import work_bars

    with work_bars() as report:
        n_bytes = merged(first, target, overwrite=overwrite, report=report)
    print_text(f"{target}  {size_text(n_bytes)}")
