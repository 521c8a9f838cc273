"""What a GGUF header says about a model, in a few numbers. Reads headers only and does not judge them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llamachat.engine.memory import plan_memory
from llamachat.errors import NotEnoughMemory

if TYPE_CHECKING:
    from llamachat.engine.gguf import GgufFile

# general.file_type -> name. Source: llama.cpp, include/llama.h, enum llama_ftype.
FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M",
    13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS",
    21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4", 39: "NVFP4", 40: "Q1_0",
}  # fmt: skip
_GUESSED = 1024  # a flag of llama.cpp: the type was guessed from the tensors

_F16_BYTES = 2
_BATCH = 512
_ROWS_OF_SCRATCH = 32  # rows of n_embd float32 values that one token of a batch takes, rounded up


@dataclass(frozen=True)
class Summary:
    """A model in numbers. Sizes in bytes; n_ctx in tokens; None or "" where the header does not say.

    cache_bytes: keys and values of one token in F16, in all layers. scratch_bytes: about what a batch takes.
    """

    architecture: str
    name: str
    type: str
    n_ctx: int | None
    n_params: int
    tensor_bytes: int
    cache_bytes: int
    scratch_bytes: int

    def fits(self, available: int) -> bool:
        """Whether `available` bytes hold the weights, the scratch and at least a small context; an estimate."""
        try:
            plan_memory(
                self.tensor_bytes,
                lambda n: n * self.cache_bytes,
                self.scratch_bytes,
                None,
                self.n_ctx or _BATCH,
                available,
            )
        except NotEnoughMemory:
            return False
        return True


def summarise(file: "GgufFile") -> Summary:
    """The summary of an open file. Costs no more than its header."""
    metadata, tensors = file.metadata, file.tensors.values()
    architecture = _text(metadata, "general.architecture")
    return Summary(
        architecture=architecture,
        name=_text(metadata, "general.name"),
        type=_type(metadata, ((tensor.type.name, tensor.n_bytes) for tensor in tensors)),
        n_ctx=_number(metadata, f"{architecture}.context_length") or None,
        n_params=sum(_size(tensor.shape) for tensor in tensors),
        tensor_bytes=sum(tensor.n_bytes for tensor in tensors),
        cache_bytes=_cache_bytes(metadata, architecture),
        scratch_bytes=4 * _BATCH * _ROWS_OF_SCRATCH * _number(metadata, f"{architecture}.embedding_length"),
    )


def _type(metadata: Mapping[str, object], tensors: Iterable[tuple[str, int]]) -> str:
    """The type that the file calls itself, else the one that most of its bytes have."""
    declared = metadata.get("general.file_type")
    if isinstance(declared, int) and (name := FILE_TYPES.get(declared & ~_GUESSED)):
        return name
    n_bytes: Counter[str] = Counter()
    for kind, size in tensors:
        n_bytes[kind] += size
    return n_bytes.most_common(1)[0][0] if n_bytes else ""


def _cache_bytes(metadata: Mapping[str, object], architecture: str) -> int:
    """Bytes of F16 keys and values per token: heads of all layers times the widths of a key and a value."""
    n_layer = _number(metadata, f"{architecture}.block_count")
    n_head = max(_numbers(metadata, f"{architecture}.attention.head_count"), default=0)
    heads = _numbers(metadata, f"{architecture}.attention.head_count_kv") or [n_head]
    n_heads = sum(heads) if len(heads) > 1 else heads[0] * n_layer
    head_dim = _number(metadata, f"{architecture}.embedding_length") // max(n_head, 1)
    widths = (_number(metadata, f"{architecture}.attention.{part}_length") or head_dim for part in ("key", "value"))
    return _F16_BYTES * n_heads * sum(widths)


def _text(metadata: Mapping[str, object], key: str) -> str:
    value = metadata.get(key)
    return value if isinstance(value, str) else ""


def _number(metadata: Mapping[str, object], key: str) -> int:
    return next(iter(_numbers(metadata, key)), 0)


def _numbers(metadata: Mapping[str, object], key: str) -> list[int]:
    """A whole number, or an array of them, as a list without negative ones; empty if the key is not there."""
    value = metadata.get(key)
    found = value.tolist() if isinstance(value, np.ndarray) else [value]
    return [number for number in found if isinstance(number, int) and not isinstance(number, bool) and number >= 0]


def _size(shape: Iterable[int]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
