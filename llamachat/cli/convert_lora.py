"""`llamachat convert-lora`: a GGUF adapter from one of PEFT."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from llamachat.cli.checkpoints import checkpoint_folder
from llamachat.errors import UsageError
from llamachat.terminal.output import write


def convert_lora(
    source: Annotated[
        str, Argument(metavar="DIRECTORY", help="A folder with adapter_config.json, or hf:owner/repository.")
    ],
    target: Annotated[Path, Argument(metavar="OUT.gguf", help="The file to write.")],
    base: Annotated[
        Path,
        Option("--base", metavar="MODEL", help="Its model: the GGUF file, or the folder with config.json."),
    ],
    overwrite: Annotated[bool, Option("--overwrite", help="Replace the file if it is there.")] = False,
) -> None:
    """Convert a LoRA adapter of PEFT (safetensors, adapter_config.json) into a GGUF adapter for --lora.

    What GGUF cannot express is refused by name: DoRA, biases, whole layers that were trained, several ranks.
    """
    from llamachat.prepare.convert.lora import convert_lora as converted  # numpy, which --help does without
    from llamachat.terminal.bars import work_bars

    if not base.exists():
        raise UsageError(f"{base}: there is no such file or folder; --base names the model that the adapter is for")
    with work_bars() as report:
        made = converted(checkpoint_folder(source), base, target, overwrite=overwrite, report=report)
    write(f"{target}: an adapter for {made['general.architecture']}\n")
