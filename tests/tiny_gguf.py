"""Small GGUF files byte by byte, independent of the reader and the writer that are under test."""

import struct
from collections.abc import Mapping
from pathlib import Path

F32, ALIGNMENT = 0, 32

LLAMA: Mapping[str, object] = {
    "general.architecture": "llama",
    "general.name": "Tiny",
    "llama.context_length": 2048,
    "llama.embedding_length": 64,
    "llama.block_count": 2,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
}


def tiny_gguf(path: Path, metadata: Mapping[str, object] = LLAMA, n_rows: int = 4) -> Path:
    """Writes a version 3 file with one F32 matrix [n_rows, 8] and returns its path; folders are made."""
    content = tiny_bytes(metadata, n_rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def tiny_bytes(metadata: Mapping[str, object] = LLAMA, n_rows: int = 4) -> bytes:
    """The file's bytes."""
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(metadata))
    pairs = b"".join(_text(key) + _value(value) for key, value in metadata.items())
    info = _text("token_embd.weight") + struct.pack("<IQQIQ", 2, 8, n_rows, F32, 0)
    header = head + pairs + info
    return header + bytes(-len(header) % ALIGNMENT) + bytes(n_rows * 8 * 4)


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: object) -> bytes:
    if isinstance(value, list):
        items = [_value(item) for item in value]
        return struct.pack("<I", 9) + items[0][:4] + struct.pack("<Q", len(items)) + b"".join(i[4:] for i in items)
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    return struct.pack("<I", 8) + _text(str(value))
