"""Files of models with random weights that have another model's vocabulary, and so can chat."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from llamachat.engine.gguf import open_gguf, write_gguf
from llamachat.engine.models import family_of
from llamachat.engine.models.params import read_params
from llamachat.engine.models.tensors import declared_tensors

COMMON = {"embedding_length": 32, "block_count": 2, "context_length": 2048, "attention.layer_norm_rms_epsilon": 1e-5}
SCANS = {"ssm.conv_kernel": 4, "ssm.inner_size": 64, "ssm.state_size": 16, "ssm.time_step_rank": 4}
HEADS = {"attention.head_count": 2, "attention.head_count_kv": 1, "feed_forward_length": 48}
RECURRENT: Mapping[str, Mapping[str, object]] = {
    "mamba": COMMON | SCANS | {"feed_forward_length": 0},
    "falcon-h1": COMMON | SCANS | HEADS | {"ssm.group_count": 2},
}
"""{architecture: hyperparameters of a tiny model}: one with recurrent state alone, and one with attention beside it."""


def write_random(path: Path, architecture: str, vocabulary: Path) -> Path:
    """A tiny model of an architecture of RECURRENT with the tokenizer and the chat template of another file."""
    source = open_gguf(vocabulary).metadata
    metadata = {key: source[key] for key in source if key.startswith("tokenizer.")}
    metadata |= {f"{architecture}.{key}": value for key, value in RECURRENT[architecture].items()}
    metadata |= {"general.architecture": architecture, "general.name": f"random {architecture}"}
    tokens = metadata["tokenizer.ggml.tokens"]
    _, family = family_of(metadata)
    params = read_params(family.params, metadata, architecture, {"token_embd.weight": len(tokens)})
    rng, tensors = np.random.default_rng(0), []
    for name, one in declared_tensors(family.tensors, params, family.stacks).items():
        values = rng.standard_normal(one.shape, np.float32) * (0.7 if name.startswith("token_embd") else 0.3)
        if "norm" in name:
            values = np.ones(one.shape, np.float32)
        elif name.endswith("ssm_a"):
            values = -np.abs(values) - 0.1
        if not one.optional:
            tensors.append((name, "F32", one.shape, values.astype(np.float32)))
    write_gguf(path, metadata, tensors)
    return path
