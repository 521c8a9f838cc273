"""Launches that encode weights into codebook formats, with the tables of neighbours that their kernel reads."""

from __future__ import annotations

import numpy as np

from llamachat.engine.arrays import NDArray
from llamachat.engine.backend.cpu.kernels.codebook_encode import EncodeCodebook
from llamachat.engine.backend.cpu.program import Launch, Region
from llamachat.engine.quants.encoding import codes_of
from llamachat.engine.quants.format import BlockFormat
from llamachat.engine.quants.levels import Book, Ternary
from llamachat.engine.quants.neighbours import neighbours


def encode_launch(
    fmt: BlockFormat, rows: NDArray[np.float32], importance: NDArray[np.float32] | None, out: NDArray[np.uint8]
) -> tuple[Launch, object]:
    """What encodes rows [n, columns] of whole blocks into `out`; and what must live until that is done.

    importance: of every column [columns]; None where all are equal. Arrays are contiguous.
    """
    counts = np.ones(rows.shape[1], np.float32) if importance is None else importance
    tables: list[NDArray[np.uint16] | NDArray[np.uint8]] = [np.zeros(1, np.uint8)] * 2
    if isinstance(codes_of(fmt).levels, Book | Ternary):
        near = neighbours(fmt.name)
        tables = [near.lists, near.entries]
    x, w, y, lists, words = (Region(one.nbytes, fixed=int(one.ctypes.data)) for one in (rows, counts, out, *tables))
    sizes = {"rows": len(rows), "blocks": rows.shape[1] // fmt.block}
    launch = Launch(
        EncodeCodebook(fmt.name), {"x": x, "importance": w, "out": y, "lists": lists, "words": words, **sizes}
    )
    return launch, (rows, counts, out, tables)
