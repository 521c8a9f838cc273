"""Where GGUF files lie on this machine: our own folder and the caches of other programs. Names only; nothing is opened.

Sources of the layouts: Hugging Face Hub, "manage your cache"; LM Studio and llama.cpp, their documentation on model
folders.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from llamachat.catalog.ollama import ollama_files
from llamachat.catalog.paths import models_folder
from llamachat.catalog.splits import part_names, split_of
from llamachat.errors import LlamaChatError


@dataclass(frozen=True)
class Located:
    """A model file that was found but not opened: `path` is the file, or the first of a split model.

    n_bytes: all its files together. problem: why it cannot be used, or "".
    """

    name: str
    path: Path
    source: str
    n_bytes: int
    problem: str = ""


def locate() -> list[Located]:
    """Every model file on this machine, each file once, our own folder first; within a source by name."""
    seen: set[tuple[int, int]] = set()
    found = []
    for source, paths in _sources():
        located = [_located(source, path) for path in paths] if source != "ollama" else _ollama()
        for model in sorted(located, key=lambda model: (model.name.lower(), str(model.path))):
            identity = _identity(model.path)
            if identity is None or identity not in seen:
                found.append(model)
            if identity is not None:
                seen.add(identity)
    return found


def _sources() -> Iterator[tuple[str, Iterable[Path]]]:
    """Each program's name and the GGUF files in its folders; of a split model only the first that is there."""
    with suppress(LlamaChatError):  # without a home there is no folder of ours
        yield "llamachat", _models_in([models_folder()])
    yield "huggingface", _models_in(folder / "snapshots" for folder in _subfolders(_hub_cache(), "models--"))
    yield "ollama", ()
    yield "lmstudio", _models_in([_home() / ".lmstudio/models", _home() / ".cache/lm-studio/models"])
    yield "llama.cpp", _models_in(_llama_cpp())


def _models_in(folders: Iterable[Path]) -> list[Path]:
    """The model files below the folders, without projectors of images (mmproj) and hidden files."""
    files: dict[tuple[str, str], Path] = {}
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in sorted(names):
                if name.lower().endswith(".gguf") and not name.startswith(".") and "mmproj" not in name.lower():
                    split = split_of(name)
                    key = f"{split.stem}-of-{split.count}" if split else name
                    files.setdefault((place, key), Path(place, name))
    return list(files.values())


def _located(source: str, path: Path) -> Located:
    split = split_of(path.name)
    name = split.stem if split else path.name[: -len(".gguf")]
    parts = [path.with_name(part) for part in part_names(path.name)]
    sizes = [_size(part) for part in parts]
    n_bytes = sum(size or 0 for size in sizes)
    if not split:
        return Located(name, path, source, n_bytes, "" if sizes[0] is not None else _unreadable(path))
    missing = [part.name for part, size in zip(parts, sizes, strict=True) if size is None]
    problem = f"{len(missing)} of {split.count} files missing, first {missing[0]}" if missing else ""
    return Located(name, path, source, n_bytes, problem)


def _ollama() -> list[Located]:
    """Ollama's models, in the folder that its variable names or in its usual folders."""
    if chosen := os.environ.get("OLLAMA_MODELS"):
        folders = [_chosen(chosen)]
    else:
        folders = [_home() / ".ollama/models", Path("/usr/share/ollama/.ollama/models"), Path("/var/lib/ollama")]
    models = []
    for folder in folders:
        for name, path in ollama_files(folder):
            size = _size(path)
            models.append(Located(name, path, "ollama", size or 0, "" if size is not None else _unreadable(path)))
    return models


def _hub_cache() -> Path:
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if chosen := os.environ.get(variable):
            return _chosen(chosen)
    if home := os.environ.get("HF_HOME"):
        return _chosen(home) / "hub"
    return _xdg_cache() / "huggingface/hub"


def _llama_cpp() -> list[Path]:
    if chosen := os.environ.get("LLAMA_CACHE"):
        return [_chosen(chosen)]
    if sys.platform == "darwin":
        return [_home() / "Library/Caches/llama.cpp"]
    if sys.platform == "win32":
        return [Path(os.environ.get("LOCALAPPDATA", _home())) / "llama.cpp"]
    return [_xdg_cache() / "llama.cpp"]


def _xdg_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache")


def _chosen(folder: str) -> Path:
    """A folder that a variable names; a `~` that means nobody's home stays as it is."""
    return Path(os.path.expanduser(folder))


def _home() -> Path:
    """The home directory; a folder that does not exist where there is none."""
    home = Path(os.path.expanduser("~"))
    return home if home.is_absolute() else Path("/nonexistent")


def _subfolders(folder: Path, prefix: str) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if entry.name.startswith(prefix))
    except OSError:
        return []


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _unreadable(path: Path) -> str:
    try:
        path.stat()
    except OSError as error:
        return f"the file cannot be read ({error.strerror or error})"
    return ""


def _identity(path: Path) -> tuple[int, int] | None:
    """What makes two paths the same file: device and inode."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
