"""Every block format as data, with its NumPy reference codec: name -> format; BLOCK_FORMATS are the quantised ones."""

from llamachat.engine.quants.floats import FLOATS, FloatFormat
from llamachat.engine.quants.format import BlockFormat
from llamachat.engine.quants.k_quants import K_QUANTS
from llamachat.engine.quants.legacy import LEGACY

Format = BlockFormat | FloatFormat

BLOCK_FORMATS: dict[str, BlockFormat] = {fmt.name: fmt for fmt in (*LEGACY, *K_QUANTS)}

FORMATS: dict[str, Format] = {**{fmt.name: fmt for fmt in FLOATS}, **BLOCK_FORMATS}
