"""The tensors of a folder of Hugging Face: safetensors, one file or several with an index; else PyTorch's files."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.gguf.metadata import shown
from llamachat.errors import LlamaChatError, ModelFileError
from llamachat.prepare.convert.safetensors import open_safetensors
from llamachat.prepare.convert.source import Source

MODEL: Final = ("model", "pytorch_model")
"""How the files of a model's weights begin: in safetensors, and in PyTorch's own form."""

ADAPTER: Final = ("adapter_model", "adapter_model")


def open_checkpoint(folder: Path, names: tuple[str, str] = MODEL) -> dict[str, Source]:
    """{tensor name: tensor} of a folder. names: how the files begin, in both forms.

    Raises ModelFileError for missing or broken files, LlamaChatError where PyTorch's files need a package.
    """
    safe, torch = names
    if files := _parts(folder, safe, ".safetensors"):
        return _joined(folder, files, open_safetensors)
    if files := _parts(folder, torch, ".bin"):
        return _joined(folder, files, _open_torch)
    raise ModelFileError(f"there is no {safe}.safetensors in this folder, and no {torch}.bin", folder)


def _parts(folder: Path, stem: str, ending: str) -> dict[str, Sequence[str]]:
    """{file: names of tensors that it must have}; those of an index, or the one file, or all that begin so."""
    index = folder / f"{stem}{ending}.index.json"
    if index.is_file():
        try:
            weight_map = json.loads(index.read_text("utf-8"))["weight_map"]
            files: dict[str, list[str]] = {}
            for name, file in weight_map.items():
                files.setdefault(_plain(file), []).append(name)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelFileError("the index has no weight_map of file names", index) from error
        return dict(sorted(files.items()))
    single = folder / f"{stem}{ending}"
    found = [single] if single.is_file() else sorted(folder.glob(f"{stem}-*{ending}"))
    return {path.name: () for path in found}


def _plain(file: str) -> str:
    """A file's name that leads nowhere else."""
    if "/" in file or "\\" in file or file in ("", ".", ".."):
        raise ValueError(file)
    return file


def _joined(folder: Path, files: Mapping[str, Sequence[str]], opened: Any) -> dict[str, Source]:
    found: dict[str, Source] = {}
    for file, wanted in files.items():
        path = folder / file
        if not path.is_file():
            raise ModelFileError("this file, which the index names, is missing: fetch it", path)
        tensors = opened(path)
        for name in tensors.keys() & found.keys():
            raise ModelFileError("two files have this tensor", path, shown(name))
        missing = next((name for name in wanted if name not in tensors), None)
        if missing is not None:
            raise ModelFileError("the index says that this tensor is here, and it is not", path, shown(missing))
        found |= tensors
    return found


_KINDS: Final = {
    "torch.float64": "F64",
    "torch.float32": "F32",
    "torch.float16": "F16",
    "torch.bfloat16": "BF16",
    "torch.float8_e4m3fn": "F8_E4M3",
    "torch.float8_e5m2": "F8_E5M2",
    "torch.int64": "I64",
    "torch.int32": "I32",
    "torch.int16": "I16",
    "torch.int8": "I8",
    "torch.uint8": "U8",
    "torch.bool": "BOOL",
}


def _open_torch(path: Path) -> dict[str, Source]:
    """PyTorch reads its own form: a pickle, in which only tensors are allowed."""
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        raise LlamaChatError(
            f"{path}: this form of weights can be read by PyTorch only (pip install torch); most repositories also "
            "have model.safetensors"
        ) from error
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        raise ModelFileError(f"PyTorch cannot read this file ({first:.120})", path) from error
    return {name: _torch_source(path, name, tensor) for name, tensor in tensors.items() if hasattr(tensor, "dtype")}


def _torch_source(path: Path, name: str, tensor: Any) -> Source:
    kind = _KINDS.get(str(tensor.dtype))
    if kind is None:
        raise ModelFileError(f"the type {tensor.dtype} is not known", path, shown(name))
    bits = {"BF16": "int16", "F8_E4M3": "uint8", "F8_E5M2": "uint8"}.get(kind)

    def raw(first: int, last: int) -> NDArray[Any]:
        flat = tensor.detach().reshape(-1)[first:last]
        if bits is None:
            found: NDArray[Any] = flat.numpy()
            return found
        whole: NDArray[Any] = flat.view(getattr(importlib.import_module("torch"), bits)).numpy()
        return whole.view(np.uint16) if kind == "BF16" else whole

    return Source(name, kind, tuple(tensor.shape), raw)
