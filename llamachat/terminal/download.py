"""Progress bars of a download on standard error, one per step; none where standard error is no terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llamachat.terminal.output import is_quiet, wants_colour
from llamachat.terminal.sanitize import clean_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_WIDE = 70  # columns from which bytes, speed and time left have room beside the bar


@contextmanager
def download_bars() -> Iterator[Callable[[int, int | None, str], None]]:
    """What `catalog.pull` calls with bytes done, bytes in all and the step; draws only on a terminal."""
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    if not is_terminal or is_quiet():
        yield lambda done, total, what: None
        return
    from rich.console import Console  # 60 ms, only where a bar is drawn

    console = Console(stderr=True, no_color=not wants_colour(is_terminal), highlight=False)
    with _progress(console.width >= _WIDE, console) as bars:
        steps: dict[str, TaskID] = {}

        def report(done: int, total: int | None, what: str) -> None:
            if what not in steps:
                steps[what] = bars.add_task(clean_line(what), total=total)
            bars.update(steps[what], completed=done, total=total)

        yield report


def _progress(is_wide: bool, console: "Console") -> "Progress":
    from rich import progress

    what = progress.TextColumn("{task.description}", markup=False)
    bar, share = progress.BarColumn(bar_width=24 if is_wide else 10), progress.TaskProgressColumn()
    columns: list[progress.ProgressColumn] = [what, bar, share]
    if is_wide:
        columns += [progress.DownloadColumn(), progress.TransferSpeedColumn(), progress.TimeRemainingColumn()]
    return progress.Progress(*columns, console=console, transient=True)
