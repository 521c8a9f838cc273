"""Every block format as data, with its NumPy reference codec: name -> format; BLOCK_FORMATS are the quantised ones.
DATA are types that occur as vectors, not as matrices.

STORED says how the quantised ones lie in packed memory. `register` adds a format from elsewhere, `unregister` takes it
back.
"""

from typing import Final

from llamachat.engine.quants.floats import FLOATS, NUMBERS, FloatFormat
from llamachat.engine.quants.format import BlockFormat
from llamachat.engine.quants.iq_quants import IQ_QUANTS, IQ_STORED
from llamachat.engine.quants.k_quants import K_QUANTS, K_STORED
from llamachat.engine.quants.legacy import LEGACY, LEGACY_STORED
from llamachat.engine.quants.small_quants import SMALL_QUANTS, SMALL_STORED
from llamachat.engine.quants.stored import Stored, as_in_file
from llamachat.errors import UsageError

Format = BlockFormat | FloatFormat

BLOCK_FORMATS: dict[str, BlockFormat] = {fmt.name: fmt for fmt in (*LEGACY, *K_QUANTS, *IQ_QUANTS, *SMALL_QUANTS)}

FORMATS: dict[str, Format] = {**{fmt.name: fmt for fmt in FLOATS}, **BLOCK_FORMATS}

DATA: dict[str, Format] = {fmt.name: fmt for fmt in NUMBERS}

STORED: dict[str, Stored] = {
    **{name: as_in_file(fmt) for name, fmt in BLOCK_FORMATS.items()},
    **{stored.source.name: stored for stored in (*LEGACY_STORED, *K_STORED, *IQ_STORED, *SMALL_STORED)},
}

_OWN: Final = frozenset(FORMATS)


def register(fmt: BlockFormat, stored: Stored | None = None) -> None:
    """Makes a block format from elsewhere known, whose tensor type is (`gguf.register_type`).

    Models with such tensors can be loaded from then on. stored: how it lies in packed memory, where that is not as in
    the file. Raises UsageError for a name that is known.
    """
    if fmt.name in FORMATS:
        raise UsageError(f"the block format {fmt.name} is known already")
    FORMATS[fmt.name] = BLOCK_FORMATS[fmt.name] = fmt
    STORED[fmt.name] = stored or as_in_file(fmt)


def unregister(name: str) -> None:
    """Takes a `register` back; models with such tensors must be closed before."""
    del FORMATS[name], BLOCK_FORMATS[name], STORED[name]


def is_foreign(name: str) -> bool:
    """Whether a format was registered, so that the name does not say what it is."""
    return name not in _OWN
