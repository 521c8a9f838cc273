"""`llamachat convert`: a GGUF file from a model of Hugging Face."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from llamachat.cli.checkpoints import checkpoint_folder
from llamachat.terminal.output import note, write


class WeightType(StrEnum):
    """What matrices become."""

    AUTO = "auto"
    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    Q8_0 = "q8_0"


def convert(
    source: Annotated[
        str, Argument(metavar="DIRECTORY", help="A folder with config.json and weights, or hf:owner/repository.")
    ],
    target: Annotated[Path, Argument(metavar="OUT.gguf", help="The file to write.")],
    type_: Annotated[
        WeightType, Option("--type", help="Type of the matrices; auto: as the checkpoint has them, without loss.")
    ] = WeightType.AUTO,
    accept: Annotated[
        list[str] | None,
        Option("--accept", metavar="NAME", help="Leave out this unknown setting of config.json; may be repeated."),
    ] = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Replace the file if it is there.")] = False,
) -> None:
    """Convert a model of Hugging Face (safetensors, config.json, tokenizer) into a GGUF file.

    A tensor or a setting that is not known is refused by name: a wrong model is worse than none. Weights of PyTorch's
    own form (.bin) need PyTorch.
    """
    from llamachat.engine.memory import size_text  # here and below: what --help does without
    from llamachat.prepare.convert import convert as converted
    from llamachat.terminal.bars import work_bars

    folder = checkpoint_folder(source)
    with work_bars() as report:
        made = converted(folder, target, type_, overwrite=overwrite, accepted=accept or (), report=report)
    for sentence in made.notes:
        note(sentence)
    what = f"{made.architecture}, {len(made.tensors)} tensors, {size_text(target.stat().st_size)}"
    write(f"{target}: {what}\n")
