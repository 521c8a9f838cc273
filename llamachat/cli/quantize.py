"""`llamachat quantize`: a smaller file of a model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

from llamachat.cli.options import Overwrite, Threads
from llamachat.prepare.quantize.mixes import COPY, MIXES

if TYPE_CHECKING:
    from llamachat.prepare.quantize.plan import Step, Wanted
    from llamachat.prepare.quantize.work import Quantisation


@dataclass(frozen=True)
class TypesChoice:
    """Types. Which tensor gets which."""

    imatrix: Annotated[
        Path | None,
        Option(metavar="FILE", help="An importance matrix (GGUF or .dat): how much each column of a matrix counts. "
               "Types below 3 bits need one."),
    ] = None  # fmt: skip
    pure: Annotated[bool, Option("--pure", help="Give every matrix the same type, in place of a mix.")] = False
    output_tensor_type: Annotated[
        str | None, Option(metavar="TYPE", help="The type of output.weight, the last matrix.")
    ] = None
    token_embedding_type: Annotated[
        str | None, Option(metavar="TYPE", help="The type of the token embeddings.")
    ] = None  # fmt: skip
    tensor_type: Annotated[
        list[str] | None,
        Option(metavar="PATTERN=TYPE", help="The type of tensors in whose names a regular expression is found, as in "
               "ffn_down=Q6_K; the first that is found counts. May be given several times."),
    ] = None  # fmt: skip
    leave_output_tensor: Annotated[bool, Option("--leave-output-tensor", help="Keep the type of output.weight.")] = (
        False
    )
    allow_requantize: Annotated[
        bool,
        Option("--allow-requantize", help="Quantise matrices that are quantised already, with more loss than from the "
               "original."),
    ] = False  # fmt: skip


@dataclass(frozen=True)
class ResultChoice:
    """Result. What is written, and how."""

    override_kv: Annotated[
        list[str] | None,
        Option(metavar="KEY=TYPE:VALUE", help="Write a metadata key with this value; TYPE is int, float, bool or str. "
               "May be given several times."),
    ] = None  # fmt: skip
    keep_split: Annotated[
        bool, Option("--keep-split", help="Write as many files as the model has, OUT-00001-of-00003.gguf and so on.")
    ] = False
    overwrite: Overwrite = False
    dry_run: Annotated[bool, Option("--dry-run", help="Print types and sizes; write nothing.")] = False
    threads: Threads = None
    output: Annotated[Literal["text", "json"], Option("--output", "-o", help="Output format.")] = "text"


def quantize(
    source: Annotated[str, Argument(metavar="IN", help="A GGUF file, or a name from `llamachat models`.")],
    target: Annotated[Path, Argument(metavar="OUT", help="The GGUF file to write.")],
    mix: Annotated[
        str,
        Argument(metavar="TYPE", help=f"A mix of types: {', '.join(MIXES)}; or {COPY}, which keeps every type."),
    ],
    types: TypesChoice,
    result: ResultChoice,
) -> None:  # fmt: skip
    """Quantise a model: write its weights with fewer bits.

    Recommended are Q4_K_M, Q5_K_M and Q8_0, and below them the IQ types with an importance matrix. A mix gives the
    tensors that lose most more bits, the same as llama.cpp's. Start from a file with F32, F16 or BF16 weights. The
    result appears under its name when it is whole. A table shows what became of each tensor; its error is the root mean
    square of the change, relative to the weights, measured on some of its rows.
    """
    from llamachat.catalog import resolve  # here and below: what --help does without
    from llamachat.prepare.quantize.work import Quantisation
    from llamachat.terminal.bars import work_bars
    from llamachat.terminal.output import note

    found = Quantisation(resolve(source), _wanted(mix, types, result), types.imatrix)
    if result.dry_run:
        _show(found, [(step, None) for step in found.steps], result.output)
        if missing := found.missing():
            note(missing)
        return
    with work_bars() as report:
        done = found.write(target, threads=result.threads, overwrite=result.overwrite, report=report)
    _show(found, [(one.step, one.rms) for one in done], result.output)


def _wanted(name: str, types: TypesChoice, result: ResultChoice) -> "Wanted":
    from llamachat.engine.overrides import Override
    from llamachat.prepare.quantize.mixes import mix_of
    from llamachat.prepare.quantize.plan import Wanted, given_type, type_named

    def kind(value: str | None, setting: str) -> str | None:
        return None if value is None else type_named(value, setting)

    return Wanted(
        mix_of(name),
        pure=types.pure,
        output_type=kind(types.output_tensor_type, "output_tensor_type"),
        embedding_type=kind(types.token_embedding_type, "token_embedding_type"),
        given=tuple(given_type(text) for text in types.tensor_type or ()),
        leave_output=types.leave_output_tensor,
        allow_requantize=types.allow_requantize,
        keep_split=result.keep_split,
        overrides=tuple(Override.parse(text) for text in result.override_kv or ()),
    )


def _show(found: "Quantisation", rows: "Sequence[tuple[Step, float | None]]", output: str) -> None:
    if output == "json":
        from llamachat.terminal.schema import versioned

        print(json.dumps(versioned(_record(found, rows)), indent=2))
        return
    _print_table(found, rows)


def _record(found: "Quantisation", rows: "Sequence[tuple[Step, float | None]]") -> dict[str, Any]:
    tensors = [
        {
            "name": step.tensor.name,
            "shape": list(step.tensor.shape),
            "from": step.tensor.type.name,
            "to": step.type,
            "n_bytes": step.n_bytes,
            "error": rms,
        }
        for step, rms in rows
    ]
    return {"n_bytes_before": found.file.n_bytes, "n_bytes": found.n_bytes, "tensors": tensors}


def _print_table(found: "Quantisation", rows: "Sequence[tuple[Step, float | None]]") -> None:
    from llamachat.engine.memory import size_text
    from llamachat.terminal.table import Column, print_table, print_text

    changed = [(step, rms) for step, rms in rows if step.changes]
    cells = [
        (
            step.tensor.name,
            "x".join(map(str, step.tensor.shape)),
            step.tensor.type.name,
            step.type,
            step.wanted or "",
            size_text(step.n_bytes),
            "" if rms is None else f"{rms:.2g}",
        )
        for step, rms in changed
    ]
    titles = ("tensor", "shape", "from", "to", "instead of", "size", "error")
    if cells:
        print_table([Column(title, title in ("size", "error")) for title in titles], cells)
    same = len(rows) - len(changed)
    if same:
        print_text(f"{same} tensors keep their type" if same > 1 else "1 tensor keeps its type")
    substitutes = sum(step.wanted is not None for step, _ in changed)
    if substitutes:
        print_text(f"{substitutes} have rows that are not whole blocks of the mix's type, and got another one instead")
    bits = found.n_bytes * 8 / max(1, found.n_weights)
    print_text(f"{size_text(found.file.n_bytes)} -> {size_text(found.n_bytes)}, {bits:.2f} bits a weight")
