"""Progress bars on standard error for long work, one per step: share, rate, time left; none where it is no terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from llamachat.terminal.output import is_quiet, wants_colour
from llamachat.terminal.sanitize import clean_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn, TaskID

_WIDE = 70  # columns from which amounts and speed have room beside the bar
_FIGURES, _SHARE = 54, 22  # columns of everything behind the step's words, there and where it is narrower

Unit = Literal["bytes", "tokens"]


@contextmanager
def work_bars(unit: Unit = "bytes") -> Iterator[Callable[[int, int | None, str], None]]:
    """What work calls with how much is done, how much there is (None: not known) and the step; draws on a terminal.

    Each step has a bar of its own, so a step's words do not change while it goes on. The bars are gone in the end.
    """
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    if not is_terminal or is_quiet():
        yield lambda done, total, what: None
        return
    from rich.console import Console  # 60 ms, only where a bar is drawn

    console = Console(stderr=True, no_color=not wants_colour(is_terminal), highlight=False)
    with _progress(console.width >= _WIDE, console, unit) as bars:
        steps: dict[str, TaskID] = {}

        def report(done: int, total: int | None, what: str) -> None:
            if what not in steps:
                steps[what] = bars.add_task(clean_line(what), total=total)
            bars.update(steps[what], completed=done, total=total)

        yield report


def _progress(is_wide: bool, console: "Console", unit: Unit) -> "Progress":
    from rich import progress
    from rich.table import Column

    room = max(8, console.width - (_FIGURES if is_wide else _SHARE))
    cell = Column(no_wrap=True, overflow="ellipsis", max_width=room)
    what = progress.TextColumn("{task.description}", markup=False, table_column=cell)
    bar, share = progress.BarColumn(bar_width=12 if is_wide else 8), progress.TaskProgressColumn()
    columns: list[ProgressColumn] = [what, bar, share]
    if is_wide and unit == "bytes":
        columns += [progress.DownloadColumn(), progress.TransferSpeedColumn()]
    elif is_wide:
        columns += [progress.MofNCompleteColumn(), _rate(unit)]
    columns.append(progress.TimeRemainingColumn(compact=True))
    return progress.Progress(*columns, console=console, transient=True)


def _rate(unit: Unit) -> "ProgressColumn":
    """A column of "123 tokens/s"."""
    from rich import progress, text

    class Rate(progress.ProgressColumn):
        def render(self, task: progress.Task) -> text.Text:
            return text.Text(f"{task.speed:.0f} {unit}/s" if task.speed else "")

    return Rate()
