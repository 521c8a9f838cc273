"""Recurrent models with random weights in the shapes of real ones: only their speed means anything.

python benchmarks/recurrent_models.py mamba /tmp/mamba.gguf --layers 8 --type Q4_K
python benchmarks/compare.py -m /tmp/mamba.gguf --peer-python /path/to/venv/bin/python
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from bench_models import VOCABULARY
from blocks import random_rows

from llamachat.catalog import resolve
from llamachat.engine.gguf import open_gguf
from llamachat.engine.gguf.types import BY_NAME
from llamachat.engine.gguf.writer import Entry, write_gguf
from llamachat.engine.models import family_of
from llamachat.engine.models.params import read_params
from llamachat.engine.models.tensors import declared_tensors

SECTIONS: Final = np.array([11, 11, 10, 0], np.int32)
RMS: Final = {"context_length": 8192, "attention.layer_norm_rms_epsilon": 1e-5}
SHAPES: Final[Mapping[str, tuple[str, dict[str, object]]]] = {
    "mamba": (  # 1.4B
        "mamba",
        {
            **RMS,
            "embedding_length": 2048,
            "block_count": 48,
            "feed_forward_length": 0,
            "attention.head_count": 0,
            "ssm.conv_kernel": 4,
            "ssm.inner_size": 4096,
            "ssm.state_size": 16,
            "ssm.time_step_rank": 128,
        },
    ),
    "mamba2": (  # 1.3B
        "mamba2",
        {
            **RMS,
            "embedding_length": 2048,
            "block_count": 48,
            "feed_forward_length": 0,
            "attention.head_count": 0,
            "ssm.conv_kernel": 4,
            "ssm.inner_size": 4096,
            "ssm.state_size": 128,
            "ssm.time_step_rank": 64,
            "ssm.group_count": 1,
        },
    ),
    "falcon-h1": (  # 1.5B
        "falcon-h1",
        {
            **RMS,
            "embedding_length": 2048,
            "block_count": 24,
            "feed_forward_length": 4096,
            "attention.head_count": 8,
            "attention.head_count_kv": 2,
            "attention.key_length": 128,
            "attention.value_length": 128,
            "ssm.conv_kernel": 4,
            "ssm.inner_size": 3072,
            "ssm.state_size": 256,
            "ssm.time_step_rank": 48,
            "ssm.group_count": 1,
            "rope.freq_base": 1e11,
        },
    ),
    "qwen35": (  # 0.8B
        "qwen35",
        {
            **RMS,
            "embedding_length": 1024,
            "block_count": 24,
            "feed_forward_length": 3584,
            "attention.head_count": 8,
            "attention.head_count_kv": 2,
            "attention.key_length": 256,
            "attention.value_length": 256,
            "rope.dimension_count": 64,
            "rope.dimension_sections": SECTIONS,
            "full_attention_interval": 4,
            "ssm.conv_kernel": 4,
            "ssm.inner_size": 2048,
            "ssm.state_size": 128,
            "ssm.time_step_rank": 16,
            "ssm.group_count": 16,
            "rope.freq_base": 1e7,
        },
    ),
    "rwkv7": (  # 1.5B
        "rwkv7",
        {
            "context_length": 8192,
            "attention.layer_norm_epsilon": 1e-5,
            "attention.head_count": 0,
            "embedding_length": 2048,
            "block_count": 24,
            "feed_forward_length": 8192,
            "wkv.head_size": 64,
            "attention.decay_lora_rank": 96,
            "attention.iclr_lora_rank": 96,
            "attention.gate_lora_rank": 256,
            "attention.value_residual_mix_lora_rank": 64,
        },
    ),
}
NEGATIVE: Final = ("ssm_a",)


def make(path: Path, name: str, layers: int, kind: str) -> None:
    """Writes a model of that many layers (0: all). kind: of the matrices; the embeddings are Q8_0, vectors F32.

    Raises LlamaChatError where the tokenizer's model is not there.
    """
    source = open_gguf(resolve(VOCABULARY)).metadata
    tokenizer = {key: source[key] for key in source if key.startswith("tokenizer.")}
    architecture, keys = SHAPES[name]
    metadata = {f"{architecture}.{key}": value for key, value in keys.items()}
    if layers:
        metadata[f"{architecture}.block_count"] = layers
    metadata |= {"general.architecture": architecture, "general.name": f"bench {name} {kind}", **tokenizer}
    (_, family), tokens = family_of(metadata), tokenizer["tokenizer.ggml.tokens"]
    assert isinstance(tokens, list)
    params = read_params(family.params, metadata, architecture, {"token_embd.weight": len(tokens)})
    declared = declared_tensors(family.tensors, params, family.stacks)
    rng = np.random.default_rng(0)
    entries = [_entry(name, one.shape, kind, rng) for name, one in declared.items() if name != "output.weight"]
    if not declared["output.weight"].optional:
        entries.append(_entry("output.weight", declared["output.weight"].shape, kind, rng))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_gguf(path, metadata, [one for one in entries if "nextn" not in one[0]])


def _entry(name: str, shape: tuple[int, ...], kind: str, rng: np.random.Generator) -> Entry:
    """A matrix of blocks, or float32: norms are one, decays negative."""
    block = BY_NAME[kind].block
    is_matrix = name.endswith(".weight") and len(shape) == 2 and not any(part in name for part in ("conv1d", "norm"))
    if is_matrix and shape[1] % block == 0 and shape[1] > 1:
        used = "Q8_0" if name.startswith("token_embd") else kind
        data: Callable[[], np.ndarray] = lambda: random_rows(used, *shape)  # noqa: E731
        return name, used, shape, data
    values = rng.standard_normal(shape, dtype=np.float32) * 0.02
    if "norm.weight" in name:
        values = np.ones(shape, np.float32)
    elif any(part in name for part in NEGATIVE):
        values = -rng.uniform(0.5, 8, shape).astype(np.float32)
    return name, "F32", shape, values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("file", type=Path)
    parser.add_argument("--layers", type=int, default=0, help="0: all")
    parser.add_argument("--type", default="Q4_K")
    given = parser.parse_args()
    make(given.file, given.shape, given.layers, given.type)


if __name__ == "__main__":
    main()
