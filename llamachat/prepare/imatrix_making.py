"""Making an importance matrix window by window: what is done is kept beside the result, so that it can go on later."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from llamachat.engine.gguf import open_gguf
from llamachat.errors import ModelFileError
from llamachat.prepare.imatrix import Collected, Collector
from llamachat.prepare.imatrix_file import OF, write_imatrix
from llamachat.prepare.importance import read_importance
from llamachat.prepare.report import Report, silent
from llamachat.prepare.result import result
from llamachat.prepare.windows import Windows


@dataclass(frozen=True)
class Unfinished:
    """The file `RESULT.partial`, with all windows that were read. of: says which text, model and choice it is of."""

    path: Path
    of: str

    @classmethod
    def beside(cls, target: Path, of: str) -> Unfinished:
        """That of a result."""
        return cls(target.with_name(target.name + ".partial"), of)

    def load(self, chunk_size: int) -> Collected:
        """What was begun; an empty one where nothing was, or something else."""
        found = Collected(chunk_size)
        try:
            if self.path.is_file() and open_gguf(self.path).metadata.get(OF) == self.of:
                found.merge(read_importance(self.path))
        except ModelFileError:
            return Collected(chunk_size)
        return found

    def save(self, found: Collected) -> None:
        """Keeps what is there. Raises LlamaChatError where it cannot be written."""
        with result(self.path) as part:
            write_imatrix(part, found, of=self.of)

    def remove(self) -> None:
        """The result is there."""
        self.path.unlink(missing_ok=True)


def collect(
    collector: Collector, windows: Windows, found: Collected, kept: Unfinished, every: int, report: Report = silent
) -> None:
    """Reads the windows that `found` has not, in their order; report counts tokens.

    What is done is kept every so many windows (0: never), and when the work is ended by an error, Ctrl+C or a signal.
    Raises as `Collector.read`.
    """
    n = windows.n_ctx
    saved = found.n_chunks
    try:
        for i in range(found.n_chunks, len(windows)):
            report(i * n, len(windows) * n, "measuring")
            collector.read(windows, i, found)
            if every and (i + 1) % every == 0 and i + 1 < len(windows):
                kept.save(found)
                saved = found.n_chunks
        report(len(windows) * n, len(windows) * n, "measuring")
    except BaseException:
        if found.n_chunks > saved:
            kept.save(found)
        raise
