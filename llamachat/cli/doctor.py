"""`llamachat doctor`: what there is to know of this machine, this installation, and what a model could reach."""

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Context, Option

from llamachat.cli.options import ModelFile, Threads
from llamachat.terminal.schema import versioned

if TYPE_CHECKING:
    from llamachat.cli.checkup.facts import Report


def doctor(
    context: Context,
    model: ModelFile,
    threads: Threads = None,
    output: Annotated[Literal["text", "json"], Option("--output", "-o", help="Output format.")] = "text",
    remove_packed: Annotated[
        bool, Option("--remove-packed", help="Remove the packed weights that --keep-packed has kept, and nothing else.")
    ] = False,
) -> None:
    """Check this machine and this installation.

    Reports processor and instruction set, speeds (measured in about a second), memory, folders, compiled kernels,
    kept packed weights, packages and settings; with -m also the speed that this model can reach, from the bytes read
    per token and the bandwidth. Nothing is changed. Problems are marked with an exclamation mark.
    """
    if remove_packed:
        _remove_packed()
        return
    from llamachat.cli.checkup.facts import as_json  # the engine, which --help does without

    report = _report(context, model, threads)
    if output == "json":
        print(json.dumps(versioned(as_json(report)), indent=2))
        return
    from llamachat.terminal.sanitize import clean
    from llamachat.terminal.table import print_text

    print_text(clean("\n".join(_lines(report))))


def _remove_packed() -> None:
    from llamachat.engine.kept import kept_folder, remove_copies
    from llamachat.engine.memory import size_text

    removed = remove_copies(kept_folder())
    total = sum(one.n_bytes for one in removed)
    count = "1 copy" if len(removed) == 1 else f"{len(removed)} copies"
    print(f"{count} of packed weights removed, {size_text(total)}")


def _report(context: Context, model: ModelFile, threads: int | None) -> "Report":
    from llamachat.catalog import resolve
    from llamachat.cli.checkup import machine, places, software
    from llamachat.cli.checkup.reach import Header, reach
    from llamachat.terminal.status import Status

    status = Status()
    header = Header.of(resolve(model.model)) if model.model is not None else None
    n_bytes = header.work.weight_bytes if header is not None and header.work is not None else machine.MEASURED_BYTES
    report = {"program": list(software.program()), "processor": list(machine.processor(threads))}
    if not any(fact.problem for fact in report["processor"]):
        with status.during("measuring ..."):
            report["speed"] = list(machine.speeds(threads, n_bytes))
    report["memory"] = list(machine.memory())
    report["folders"] = list(places.folders())
    report["compiled kernels"] = list(places.object_cache())
    report["packed weights"] = list(places.packed_weights())
    report["packages"] = list(software.packages())
    report["settings"] = list(software.settings(context))
    report["terminal"] = list(software.terminal())
    if header is not None:
        report["model"] = list(reach(header, {fact.name: fact.value for fact in report.get("speed", ())}))
    return report


def _lines(report: "Report") -> Iterator[str]:
    """Headings and facts; at the end how many should not be so."""
    from llamachat.cli.help import columns, definitions

    for heading, facts in report.items():
        yield from [f"{heading[:1].upper()}{heading[1:]}:"]
        rows = [(_label(fact.name), f"{'! ' if fact.problem else ''}{fact.said}") for fact in facts]
        yield from definitions(rows, columns())
        yield ""
    problems = sum(fact.problem for facts in report.values() for fact in facts)
    yield "No problems found." if not problems else f"{problems} marked ! above."


def _label(name: str) -> str:
    """The name in words, without its unit, which stands behind the value."""
    return re.sub("_(bytes_per_s|per_s|bytes)$", "", name).replace("_", " ")
