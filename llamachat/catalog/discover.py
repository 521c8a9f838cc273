"""The models on this machine with what their headers say. A file that is broken is listed with the reason."""

from dataclasses import dataclass
from pathlib import Path

from llamachat.catalog.places import Located, locate
from llamachat.errors import LlamaChatError

# Files that lie among models and are none.
_NO_MODELS = frozenset({"clip", "imatrix"})
_NO_MODEL_TYPES = frozenset({"mmproj", "imatrix", "adapter"})


@dataclass(frozen=True)
class FoundModel:
    """A model on this machine. n_bytes: its files together; n_ctx: tokens it was trained with.

    type: "Q4_1", as the file calls itself, else the type that most of its bytes have. fits: whether its weights and a
    small context fit in the memory that is free (an estimate), None where that cannot be said. problem: why it cannot
    be used, or "".
    """

    name: str
    path: Path
    source: str
    n_bytes: int
    type: str = ""
    architecture: str = ""
    n_ctx: int | None = None
    fits: bool | None = None
    problem: str = ""


def discover() -> list[FoundModel]:
    """Every model on this machine, our own folder first, by name. Reads headers only; opens each file once."""
    from llamachat.engine.memory import available_memory

    available = available_memory()
    found = (_found(located, available) for located in locate())
    return [model for model in found if model is not None]


def _found(located: Located, available: int) -> FoundModel | None:
    """The located file with its header's numbers; None if it is no model at all."""
    from llamachat.catalog.summary import summarise  # numpy
    from llamachat.engine.gguf import open_gguf

    place = (located.name, located.path, located.source, located.n_bytes)
    if located.problem:
        return FoundModel(*place, problem=located.problem)
    try:
        file = open_gguf(located.path)
        summary = summarise(file)
        kind = file.metadata.get("general.type")
    except LlamaChatError as error:
        return FoundModel(*place, problem=str(error).removeprefix(f"{located.path}: "))
    if summary.architecture in _NO_MODELS or (isinstance(kind, str) and kind in _NO_MODEL_TYPES):
        return None
    return FoundModel(
        *place,
        type=summary.type,
        architecture=summary.architecture,
        n_ctx=summary.n_ctx,
        fits=summary.fits(available) if summary.tensor_bytes else None,
    )
