"""Models of Hugging Face before they are GGUF files: `hf:owner/repository` as a folder of weights and settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from llamachat.catalog.hub import fetch_file, files_at
from llamachat.catalog.references import parse_reference
from llamachat.catalog.storage import Progress
from llamachat.errors import UsageError

SETTINGS: Final = (
    *("config.json", "generation_config.json", "adapter_config.json", "modules.json", "1_Pooling/config.json"),
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"),
    *("vocab.txt", "vocab.json", "merges.txt", "added_tokens.json", "rwkv_vocab_*.txt", "README.md"),
    *("chat_template.json", "chat_template.jinja", "additional_chat_templates/*.jinja"),
)
"""Files beside the weights."""

WEIGHTS: Final = (
    ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json", "adapter_model.safetensors"),
    ("pytorch_model.bin", "pytorch_model-*.bin", "pytorch_model.bin.index.json", "adapter_model.bin"),
)
"""Files of the weights, in the form that is taken first, and in the other one."""


def wanted_files(files: Iterable[str]) -> list[str]:
    """Which files of a repository a conversion needs: the small ones first, and of two forms of weights one."""
    names = list(files)
    weights = next((found for form in WEIGHTS if (found := _matching(names, form))), [])
    return [*_matching(names, SETTINGS), *weights]


def checkpoint_files(address: str) -> dict[str, int | None]:
    """{path: bytes} of what `fetch_checkpoint` fetches. Raises UsageError, LlamaChatError."""
    repo = _repository(address)
    files = files_at(repo, "a folder on this machine can be converted without it")
    wanted = wanted_files(files)
    if not any(name in wanted for name in ("config.json", "adapter_config.json")):
        raise UsageError(f"{address}: there is no config.json in this repository, so it is no model to be converted")
    return {name: files[name] for name in wanted}


def fetch_checkpoint(address: str, files: Iterable[str], progress: Progress) -> Path:
    """The folder that has these files of a repository, in the Hugging Face cache.

    An interrupted download is resumed when it is asked for again. Raises UsageError, LlamaChatError.
    """
    repo = _repository(address)
    paths = {file: fetch_file(repo, file, progress) for file in files}
    return next(path.parent for file, path in paths.items() if "/" not in file)


def _repository(address: str) -> str:
    reference = parse_reference(address)
    if reference.file or reference.quant:
        raise UsageError(f"{address}: a conversion is of a whole repository, as in hf:{reference.repo}")
    return reference.repo


def _matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    return [name for name in names if any(_fits(name, pattern) for pattern in patterns)]


def _fits(name: str, pattern: str) -> bool:
    """A star stands for no folders."""
    return fnmatchcase(name, pattern) and name.count("/") == pattern.count("/")
