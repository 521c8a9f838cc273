"""The golden BERT and T5 with a vocabulary, and with a classifier, for tests that embed and answer texts."""

from pathlib import Path

import numpy as np
from golden_data import GOLDEN, needed

from llamachat.engine.gguf import open_gguf, write_gguf

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"\u2581{chr(ord('a') + i)}" for i in range(26))]
N_EMBD = 64


def write(target: Path, *, classifier: bool = False) -> Path:
    """Words are single letters; a context is 128 tokens."""
    file = open_gguf(needed(GOLDEN / "archs" / "bert.gguf"))
    words = [*WORDS, *(f"word{i}" for i in range(80 - len(WORDS)))]
    metadata = {key: value for key, value in file.metadata.items() if not key.startswith("tokenizer.")}
    metadata |= {
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.tokens": words,
        "tokenizer.ggml.token_type": np.array([3] * 4 + [1] * 76, np.int32),
        "tokenizer.ggml.bos_token_id": 2,
        "tokenizer.ggml.seperator_token_id": 3,
        "tokenizer.ggml.unknown_token_id": 1,
        "tokenizer.ggml.token_type_count": 2,
    }
    tensors = [(one.name, one.type.name, one.shape, np.asarray(one.data)) for one in file.tensors.values()]
    if classifier:
        metadata["bert.pooling_type"] = 4
        rng = np.random.default_rng(0)
        for name, *shape in (("cls.weight", N_EMBD, N_EMBD), ("cls.bias", N_EMBD), ("cls.output.weight", 1, N_EMBD)):
            tensors.append((name, "F32", tuple(shape), rng.standard_normal(shape).astype(np.float32)))
    write_gguf(target, metadata, tensors)
    return target


def write_t5(target: Path) -> Path:
    """The golden T5 with a vocabulary of single letters; its encoder takes 512 tokens."""
    file = open_gguf(needed(GOLDEN / "archs" / "t5.gguf"))
    words = ["<pad>", "</s>", "<unk>", "\u2581", *(chr(ord("a") + i) for i in range(26))]
    words += [f"word{i}" for i in range(80 - len(words))]
    metadata = {key: value for key, value in file.metadata.items() if not key.startswith("tokenizer.")}
    metadata |= {
        "tokenizer.ggml.model": "t5",
        "tokenizer.ggml.tokens": words,
        "tokenizer.ggml.scores": np.array([0, 0, 0, *[-1.0] * 77], np.float32),
        "tokenizer.ggml.token_type": np.array([3, 3, 2, *[1] * 77], np.int32),
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.unknown_token_id": 2,
        "tokenizer.ggml.padding_token_id": 0,
    }
    write_gguf(target, metadata, [(t.name, t.type.name, t.shape, np.asarray(t.data)) for t in file.tensors.values()])
    return target
