"""Tensors of a file as numbers."""

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.gguf import GgufFile, TensorInfo
from llamachat.engine.quants import DATA, FORMATS, Format
from llamachat.errors import ModelFileError, Unsupported


def format_of(tensor: TensorInfo, *, is_vector: bool = False) -> Format:
    """The block format of a tensor. Raises Unsupported for one that the engine cannot compute with.

    is_vector: it is read whole as float32, for which the types in DATA do, too.
    """
    known = {**FORMATS, **DATA} if is_vector else FORMATS
    fmt = known.get(tensor.type.name)
    if fmt is None:
        raise Unsupported(
            f"block type {tensor.type.name} cannot be computed with yet (known: {', '.join(known)})", where=tensor.name
        )
    return fmt


def read(file: GgufFile, tensor: TensorInfo) -> NDArray[np.uint8]:
    """A copy of a small tensor's bytes, uint8 [n_bytes]. Raises ModelFileError where the file was cut or changed."""
    out = np.empty(tensor.n_bytes, np.uint8)
    file.read(tensor, 0, out)
    return out


def decode(tensor: TensorInfo, data: NDArray[np.uint8] | None = None) -> NDArray[np.float32]:
    """All values as float32 [n_values]; of `data`, a copy of its rows' bytes, where that is given.

    Raises ModelFileError for values that are not finite, Unsupported as `format_of` of a vector.
    """
    values = format_of(tensor, is_vector=True).decode(tensor.rows if data is None else data)
    if not np.isfinite(values).all():
        raise ModelFileError("holds values that are not finite", where=tensor.name)
    return values
