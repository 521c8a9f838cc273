"""A golden model that can write: it has 80 tokens and no vocabulary, and gets one of letters."""

from pathlib import Path

import numpy as np

from llamachat.engine.gguf import open_gguf, write_gguf


def with_letters(source: Path, target: Path) -> Path:
    """The tiny model with a vocabulary of letters, which it lacks."""
    file = open_gguf(source)
    pieces = ["<unk>", "<s>", "</s>", *(chr(code) for code in range(ord("0"), ord("0") + 77))]
    metadata = {
        **file.metadata,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.scores": np.zeros(80, np.float32),
        "tokenizer.ggml.token_type": np.array([2, 3, 3] + [1] * 77, np.int32),
        "tokenizer.ggml.add_space_prefix": False,
    }
    tensors = [(one.name, one.type.name, one.shape, one.data) for one in file.tensors.values()]
    write_gguf(target, metadata, tensors)
    return target
