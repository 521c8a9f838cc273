"""Every block format as data, with its NumPy reference codec: name -> format."""

from llamachat.engine.quants.floats import FLOATS, FloatFormat
from llamachat.engine.quants.format import BlockFormat
from llamachat.engine.quants.k_quants import K_QUANTS
from llamachat.engine.quants.legacy import LEGACY

Format = BlockFormat | FloatFormat

_ALL: list[Format] = [*FLOATS, *LEGACY, *K_QUANTS]

FORMATS: dict[str, Format] = {fmt.name: fmt for fmt in _ALL}
