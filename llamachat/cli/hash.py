"""`llamachat hash`: checksums of a model's weights."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from typer import Argument, Exit, Option

from llamachat.errors import ExitCode
from llamachat.terminal.output import note
from llamachat.terminal.table import print_text


class Algorithm(StrEnum):
    """A kind of checksum."""

    XXH64 = "xxh64"
    SHA1 = "sha1"
    SHA256 = "sha256"


def hash(  # noqa: A001 - the command's name
    source: Annotated[Path, Argument(metavar="FILE", help="A GGUF file.")],
    algorithm: Annotated[
        list[Algorithm] | None,
        Option("--algorithm", "-a", help="xxh64 (fast), sha1 or sha256. May be given several times. [default: xxh64]"),
    ] = None,
    whole: Annotated[bool, Option("--whole", help="Print only the checksum of all tensors together.")] = False,
    check: Annotated[
        Path | None,
        Option("--check", "-c", metavar="MANIFEST", help="Compare with checksums that were printed before, of "
               "this command or of gguf-hash; exit code 1 where one differs."),
    ] = None,
) -> None:  # fmt: skip
    """Print checksums of a model's weights, of each tensor and of all.

    A line has the algorithm, the checksum and FILE:TENSOR, as llama.cpp's gguf-hash prints it. Metadata do not count.
    """
    from llamachat.engine.gguf import open_gguf  # numpy, which --help does without
    from llamachat.prepare.hashing import checksums, read_manifest
    from llamachat.terminal.bars import work_bars

    file = open_gguf(source)
    if check is None:
        with work_bars() as report:
            found = list(checksums(file, [one.value for one in algorithm or [Algorithm.XXH64]], report))
        for one in found:
            if not whole or not one.tensor:
                print_text(one.line(str(source)))
        return
    wanted = read_manifest(check, file)
    with work_bars() as report:
        made = {
            (one.algorithm, one.tensor): one.digest
            for one in checksums(file, sorted({w.algorithm for w in wanted}), report)
        }
    wrong = 0
    for one in wanted:
        there = made.get((one.algorithm, one.tensor))
        said = "ok" if there == one.digest else "missing" if there is None else "differs"
        wrong += said != "ok"
        print_text(f"{one.line(str(source))}  {said}")
    note(f"{len(wanted) - wrong} of {len(wanted)} checksums are right")
    if wrong:
        raise Exit(ExitCode.ERROR)
