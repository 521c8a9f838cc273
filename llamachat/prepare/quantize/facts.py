"""What the choice of types depends on besides a tensor, from a file's metadata and the names of its tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from llamachat.engine.gguf.metadata import shown
from llamachat.errors import ModelFileError
from llamachat.prepare.quantize.roles import VALUES, Role, role_of
from llamachat.prepare.quantize.rules import Facts

_70B_IF_SHARED: Final = frozenset({"llama", "llama-embed"})
_70B: Final = frozenset({"deci", "qwen2", "olmo"})
"""Architectures whose models of 80 layers llama.cpp calls 70B: where key heads are shared, and always."""


def facts_of(metadata: Mapping[str, object], names: Iterable[str], *, importance: bool) -> Facts:
    """Of a file's metadata and tensors. Raises ModelFileError for a value that is no number."""
    architecture = str(metadata.get("general.architecture", ""))
    roles = [role_of(name) for name in names]
    n_layers = _number(metadata, f"{architecture}.block_count")
    heads = _number(metadata, f"{architecture}.attention.head_count")
    key_heads = _number(metadata, f"{architecture}.attention.head_count_kv", heads)
    return Facts(
        architecture,
        n_layers,
        n_gqa=heads // key_heads if key_heads else 0,
        n_experts=_number(metadata, f"{architecture}.expert_count"),
        is_70b=n_layers == 80 and (architecture in _70B or (architecture in _70B_IF_SHARED and heads != key_heads)),
        is_tied=Role.OUTPUT not in roles,
        n_values=sum(role in VALUES for role in roles),
        importance=importance,
    )


def _number(metadata: Mapping[str, object], key: str, default: int = 0) -> int:
    """A number, or the first layer's where each has its own."""
    value = metadata.get(key, default)
    if isinstance(value, np.ndarray):
        value = value[0].item() if value.ndim == 1 and value.size else value
    if isinstance(value, bool) or not isinstance(value, int):
        raise ModelFileError(f"is {shown(value)}, must be a number", where=key)
    return value
