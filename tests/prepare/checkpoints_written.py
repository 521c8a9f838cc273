"""Folders of Hugging Face models, written byte by byte: independent of the readers under test."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

KINDS = {"float32": "F32", "float16": "F16", "uint8": "U8", "uint16": "BF16", "int8": "F8_E4M3"}
"""A NumPy type and what it is written as; 16 bits without a sign are a bfloat16, 8 bits with one a small float."""


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray]) -> Path:
    """One file."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, values in tensors.items():
        header[name] = {
            "dtype": KINDS[str(values.dtype)],
            "shape": list(values.shape),
            "data_offsets": [at, at + values.nbytes],
        }
        at += values.nbytes
    raw = json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + b"".join(np.ascontiguousarray(v) for v in tensors.values()))
    return path


def byte_level(n_vocab: int) -> dict[str, Any]:
    """A tokenizer.json of single letters."""
    texts = [chr(0x21 + i) for i in range(min(n_vocab, 94))] + [f"x{i}" for i in range(94, n_vocab)]
    return {
        "model": {"type": "BPE", "vocab": {text: i for i, text in enumerate(texts)}, "merges": []},
        "pre_tokenizer": {"type": "ByteLevel", "use_regex": True, "add_prefix_space": False},
        "added_tokens": [{"id": 0, "content": "<s>", "special": True}, {"id": 1, "content": "</s>", "special": True}],
    }


def write_checkpoint(
    folder: Path,
    config: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    tokenizer: Mapping[str, Any] | None = None,
) -> Path:
    """A folder with weights in two files, as large models have them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(dict(config)))
    names = list(tensors)
    parts = {
        f"model-0000{number}-of-00002.safetensors": names[number - 1 :: 2]
        for number in (1, 2)
        if names[number - 1 :: 2]
    }
    for file, own in parts.items():
        write_safetensors(folder / file, {name: tensors[name] for name in own})
    weight_map = {name: file for file, own in parts.items() for name in own}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    description = tokenizer or byte_level(int(config.get("vocab_size", 80)))
    (folder / "tokenizer.json").write_text(json.dumps(dict(description)))
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": "</s>"}))
    return folder
