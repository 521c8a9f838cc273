"""From what a person writes after -m to the file: a path, a name from `llamachat models`, or a unique part of one."""

import difflib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from llamachat.catalog.known import KNOWN
from llamachat.catalog.places import Located, locate
from llamachat.catalog.references import PREFIX, Reference, parse_reference, quant_of
from llamachat.catalog.sources import default_path
from llamachat.errors import ModelFileError, UsageError


class NotFetched(UsageError):
    """A model that is not on this machine, but whose source is known: `source` is what `pull` takes."""

    def __init__(self, message: str, source: str) -> None:
        super().__init__(message)
        self.source = source


_SHOWN = 8  # names in a message


def resolve(name_or_path: str | None) -> Path:
    """The model file that is meant; for None the default model's, which may not be there yet (`fetch_default`).

    In this order: a file that exists; a name exactly; a short name (smollm2); the beginning or a part of one name only,
    in any case of letters. Raises ModelFileError for a path that does not exist and for a model that is here but
    incomplete or unreadable, NotFetched for one that `pull` would fetch, UsageError for a name that fits no model or
    several.
    """
    if name_or_path is None:
        return default_path()
    if not name_or_path:
        raise UsageError("the name of the model is empty: give a GGUF file or a name from `llamachat models`")
    path = Path(os.path.expanduser(name_or_path))
    if os.path.exists(path) and not (path.is_dir() and path.name == name_or_path):
        return path
    located = locate()
    models = [model for model in located if not model.problem]
    if exact := [model for model in models if name_or_path in (model.name, model.path.name)]:
        return _only(name_or_path, exact)
    for broken in located:
        if broken.problem and name_or_path in (broken.name, broken.path.name):
            raise ModelFileError(broken.problem, broken.path)
    if _is_address(name_or_path):
        return _fetched(name_or_path, models)
    if _is_path(name_or_path):
        raise ModelFileError(_no_file(path, models), name_or_path)
    return _by_part(name_or_path, models)


def _fetched(address: str, models: Sequence[Located]) -> Path:
    """The file of an address that has been fetched before."""
    if address.startswith(PREFIX):
        reference = parse_reference(address)
        if found := [model for model in models if _is_of(model.path, reference)]:
            return _only(address, found)
    else:
        name = address.partition("?")[0].rpartition("/")[2]
        if found := [model for model in models if model.source == "llamachat" and model.path.name == name]:
            return found[0].path
    raise NotFetched(f"{address} is not here yet: fetch it first, with `llamachat pull {address}`", address)


def _is_of(path: Path, reference: Reference) -> bool:
    """Whether a file in the cache of Hugging Face is what the address names."""
    folder = f"models--{reference.repo.replace('/', '--')}"
    if folder not in path.parts:
        return False
    inside = "/".join(path.parts[path.parts.index(folder) + 3 :])  # behind snapshots and the version
    if reference.file:
        return inside == reference.file
    return not reference.quant or quant_of(inside).removeprefix("UD-") == reference.quant.upper().removeprefix("UD-")


def _by_part(name: str, models: Sequence[Located]) -> Path:
    """The model that the short name, or the beginning or a part of its name, stands for."""
    wanted = name.lower()
    known = KNOWN.get(wanted)
    if known and (ours := [model for model in models if model.path.name == known.file]):
        return _only(name, ours)
    for fits in (str.startswith, str.__contains__):
        if candidates := [model for model in models if fits(model.name.lower(), wanted)]:
            return _only(name, candidates)
    if known:
        raise NotFetched(f"the model {name} is not here yet: fetch it with `llamachat pull {known.name}`", known.name)
    raise UsageError(_no_name(name, models))


def _only(name: str, candidates: Sequence[Located]) -> Path:
    """The one candidate; of several with the same name the one in our own folder. UsageError lists what is open."""
    if len({model.name for model in candidates}) == 1:
        own = [model for model in candidates if model.source == "llamachat"]
        if len(candidates) == 1 or len(own) == 1:
            return (own or list(candidates))[0].path
        paths = _listed(str(model.path) for model in candidates)
        raise UsageError(f"{name} is there {len(candidates)} times, give a path: {paths}")
    raise UsageError(f"{name} could be {_listed(sorted({model.name for model in candidates}))}")


def _listed(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


def _is_address(text: str) -> bool:
    return text.startswith("hf:") or "://" in text


def _is_path(text: str) -> bool:
    separators = {os.sep, os.altsep} - {None}
    return text.lower().endswith(".gguf") or any(separator in text for separator in separators if separator)


def _no_file(path: Path, models: Sequence[Located]) -> str:
    """That there is no such file, and one in the same folder, or a model, that is nearly called so."""
    if os.path.islink(path):
        return f"a link to {os.readlink(path)}, which is not there"
    try:
        names = [entry for entry in os.listdir(path.parent) if entry.lower().endswith(".gguf") and entry != path.name]
    except OSError:
        names = []
    close = difflib.get_close_matches(path.name, _alike(path.name, [*names, *(model.name for model in models)]), n=1)
    hint = f"; did you mean {close[0]}?" if close else " (`llamachat models` lists what is here)"
    return f"no such file{hint}"


def _alike(name: str, others: Sequence[str]) -> list[str]:
    """Those of the names that are alike before the block type and `.gguf`, which many models share."""
    return [one for one in others if difflib.get_close_matches(_beginning(name), [_beginning(one)])]


def _beginning(name: str) -> str:
    stem = name.lower().removesuffix(".gguf")
    return stem.removesuffix(quant_of(stem).lower()).rstrip("-._")


def _no_name(name: str, models: Sequence[Located]) -> str:
    names = {model.name.lower(): model.name for model in models} | {known: known for known in KNOWN}
    close = difflib.get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    if close:
        return f"no model is called {name}; did you mean {_listed([names[match] for match in close])}?"
    return f"no model is called {name}: `llamachat models` lists what is here, `llamachat pull` fetches more"
