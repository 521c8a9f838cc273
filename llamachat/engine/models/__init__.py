"""The language in which architectures are written as data, and `describe`, which reads a model file with it.

`families/` has a file per family. `describe` finds it by `general.architecture`, reads its parameters and checks every
tensor against its table.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Final

from llamachat.engine.gguf.metadata import typed
from llamachat.engine.models import families
from llamachat.engine.models.known_keys import changes_results, is_neutral
from llamachat.engine.models.params import Params, keys_read, read_params, shown
from llamachat.engine.models.spec import Architecture, ModelSpec
from llamachat.engine.models.tensors import Shaped, check_tensors
from llamachat.errors import ModelFileError, Unsupported, UsageError

__all__ = [
    "Architecture",
    "ModelSpec",
    "Params",
    "Shaped",
    "architectures",
    "describe",
    "is_known",
    "module_of",
    "register",
    "unregister",
]

_registered: Final[dict[str, Architecture]] = {}

SYNONYMS: Final[Mapping[str, str]] = {
    "mistral": "llama",
    "starcoder": "gpt2",
    "xverse": "internlm2",
    "ernie4_5": "internlm2",
    "granitemoe": "granite",
    "lfm2moe": "lfm2",
    "nemotron_h_moe": "nemotron_h",
    "nomic-bert-moe": "nomic_bert",
    "jina-bert-v3": "nomic_bert",
}
"""Names of `general.architecture` that another one's file describes, too."""

ARCHITECTURE_KEY: Final = "general.architecture"


@cache
def modules() -> frozenset[str]:
    """The files of `families/`: `general.architecture` with underscores for its hyphens."""
    return frozenset(module.name for module in pkgutil.iter_modules(families.__path__))


def architectures() -> Mapping[str, str]:
    """{value of `general.architecture`: the models that have it}, sorted. Imports every family."""
    found = {name: text for module in modules() for name, text in _imported(module).models.items()}
    return dict(sorted(found.items()))


def is_known(architecture: str) -> bool:
    """Whether there is a description of models that call themselves so."""
    return architecture in _registered or module_of(architecture) in modules()


def register(name: str, architecture: Architecture) -> None:
    """Adds an architecture from outside by its `general.architecture`. Raises UsageError for one of the package."""
    if is_known(name):
        raise UsageError(f"the architecture {name} is known already")
    _registered[name] = architecture


def unregister(name: str) -> None:
    """Takes a `register` back."""
    del _registered[name]


def describe(metadata: Mapping[str, object], tensors: Mapping[str, Shaped], path: object = None) -> ModelSpec:
    """The model that a file's metadata and tensors (of any type; only shapes are looked at) describe.

    path: the file's name, for messages. Raises Unsupported for what this program does not know (an architecture, a
    tensor, a setting that changes results), ModelFileError for what is missing or makes no sense, ShapeError.
    """
    try:
        return _describe(metadata, tensors)
    except ModelFileError as error:
        if path is None:
            raise
        raise type(error)(str(error), path) from None


def _describe(metadata: Mapping[str, object], tensors: Mapping[str, Shaped]) -> ModelSpec:
    name, family = family_of(metadata)
    rows = {tensor: int(found.shape[-2:][0]) for tensor, found in tensors.items() if found.shape}
    params = read_params(family.params, metadata, name, rows)
    unknown = _unknown_keys(metadata, name, keys_read(family.params) | family.without_effect.keys())
    return ModelSpec(name, params, check_tensors(family.tensors, params, tensors, family.stacks), unknown, family)


def family_of(metadata: Mapping[str, object]) -> tuple[str, Architecture]:
    """The architecture's name in this file, and its definition.

    Raises ModelFileError where the file does not say it, Unsupported for one that is not known.
    """
    kind = typed(metadata, "general.type", str, "a text", "model")
    if kind in ("adapter", "mmproj", "imatrix"):
        raise Unsupported(f"is {shown(kind)}: this file goes with a model, it is not one", where="general.type")
    name = metadata.get("general.architecture")
    if not isinstance(name, str):
        raise ModelFileError("is missing or no text: the file does not say what model it is", where=ARCHITECTURE_KEY)
    if name in _registered:
        return name, _registered[name]
    if module_of(name) not in modules():
        near = difflib.get_close_matches(name, [*modules(), *SYNONYMS, *_registered], 3)
        known = f" (known are {', '.join(near)})" if near else ""
        raise Unsupported(f"is {shown(name)}, which is not supported yet{known}", where=ARCHITECTURE_KEY)
    return name, _imported(module_of(name))


def module_of(name: str) -> str:
    """The file of `families/` that describes an architecture, if there is one."""
    return SYNONYMS.get(name, name).replace("-", "_")


def _imported(module: str) -> Architecture:
    found = importlib.import_module(f"{families.__name__}.{module}").ARCHITECTURE
    assert isinstance(found, Architecture)
    return found


def _unknown_keys(metadata: Mapping[str, object], architecture: str, known: frozenset[str]) -> tuple[str, ...]:
    """The architecture's keys that are neither read nor known; one that would change the results is refused."""
    unknown = []
    prefix = f"{architecture}."
    for key in sorted(key for key in metadata if key.startswith(prefix)):
        name = key.removeprefix(prefix)
        if name in known:
            continue
        if not changes_results(name):
            unknown.append(key)
        elif not is_neutral(name, metadata[key]):
            sentence = f"is {shown(metadata[key])}: it changes the model's results and is not supported here"
            raise Unsupported(sentence, where=_printable(key))
    return tuple(unknown)


def _printable(key: str) -> str:
    return key if key.isprintable() and len(key) <= 80 else shown(key)
