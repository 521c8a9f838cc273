"""Everything that `llamachat show` says about a file, as plain values that JSON can carry."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llamachat.catalog.splits import part_names
from llamachat.catalog.summary import Summary, summarise
from llamachat.engine.gguf import open_gguf
from llamachat.engine.memory import available_memory

if TYPE_CHECKING:
    from llamachat.engine.gguf import GgufFile

SHORT = 8  # an array of at most this many values is shown whole
_TEMPLATE = "tokenizer.chat_template"


@dataclass(frozen=True)
class TensorType:
    """How many tensors of a file have a type, and the bytes that they take together."""

    type: str
    count: int
    n_bytes: int


@dataclass(frozen=True)
class LongArray:
    """An array of the metadata that is too long to show: its length, the kind of its values, and the first of them."""

    length: int
    kind: str
    first: list[Any]


@dataclass(frozen=True)
class Details:
    """A model file in full. n_bytes: all its files; metadata without the chat template, in the file's order."""

    path: Path
    n_bytes: int
    version: int
    summary: Summary
    fits: bool | None
    tensors: list[TensorType]
    metadata: dict[str, Any]
    chat_template: str | None


def read_details(path: Path) -> Details:
    """What the header of the file says. Raises ModelFileError if it cannot be read."""
    file = open_gguf(path)
    summary = summarise(file)
    template = file.metadata.get(_TEMPLATE)
    return Details(
        path=path,
        n_bytes=sum(path.with_name(part).stat().st_size for part in part_names(path.name)),
        version=file.version,
        summary=summary,
        fits=summary.fits(available_memory()) if summary.tensor_bytes else None,
        tensors=_tensor_types(file),
        metadata={key: _plain(file.metadata[key]) for key in file.metadata if key != _TEMPLATE},
        chat_template=template if isinstance(template, str) else None,
    )


def _tensor_types(file: "GgufFile") -> list[TensorType]:
    """Counts and sizes by type, the one that takes most first."""
    count: Counter[str] = Counter()
    n_bytes: Counter[str] = Counter()
    for tensor in file.tensors.values():
        count[tensor.type.name] += 1
        n_bytes[tensor.type.name] += tensor.n_bytes
    return [TensorType(name, count[name], size) for name, size in n_bytes.most_common()]


def _plain(value: object) -> Any:
    """The value without NumPy; an array longer than SHORT becomes a LongArray."""
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, (np.ndarray, list)):
        return value
    first = [_plain(item) for item in value[:SHORT]]
    return first if len(value) <= SHORT else LongArray(len(value), _kind(first[0]), first[:3])


def _kind(value: object) -> str:
    """The plural of what the value is."""
    kinds = {bool: "booleans", int: "integers", float: "numbers", str: "strings"}
    return kinds.get(type(value), "arrays")
