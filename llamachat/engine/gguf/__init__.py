"""The GGUF file format: reader, writer, split files. Knows nothing of models."""

from llamachat.engine.gguf.metadata import Metadata, Raw, copied, typed
from llamachat.engine.gguf.reader import SPLIT_NAME, GgufFile, TensorInfo, parse
from llamachat.engine.gguf.stacks import open_gguf
from llamachat.engine.gguf.types import BY_NAME, TYPES, GgmlType, register_type, unregister_type
from llamachat.engine.gguf.writer import file_bytes, tensor_bytes, write_gguf

__all__ = [
    "BY_NAME",
    "SPLIT_NAME",
    "TYPES",
    "GgmlType",
    "GgufFile",
    "Metadata",
    "Raw",
    "TensorInfo",
    "copied",
    "file_bytes",
    "open_gguf",
    "parse",
    "register_type",
    "tensor_bytes",
    "typed",
    "unregister_type",
    "write_gguf",
]
