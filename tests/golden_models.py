"""The tiny models of the golden data that the engine knows, and how far logits are from theirs."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from golden_data import GOLDEN, needed

from llamachat.engine.gguf import open_gguf
from llamachat.engine.models import is_known

FOLDER: Final = GOLDEN / "archs"


def architecture_of(path: Path) -> str:
    """What a model file says it is."""
    return str(open_gguf(path).metadata["general.architecture"])


ALL: Final = tuple(sorted(path.stem for path in FOLDER.glob("*.gguf")))
NAMES: Final = tuple(name for name in ALL if is_known(architecture_of(FOLDER / f"{name}.gguf")))


def file_of(name: str) -> Path:
    """A model's file; skips the test where only all of the golden data has it."""
    return needed(FOLDER / f"{name}.gguf")


def results(name: str) -> dict[str, npt.NDArray[Any]]:
    """The arrays that lie beside a model; skips the test where only all of the golden data has them."""
    with np.load(needed(FOLDER / f"{name}.npz")) as file:
        return {key: file[key] for key in file.files}


def logits(found: dict[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Those of exact arithmetic where there are some."""
    return found["logits_exact" if "logits_exact" in found else "logits"]


DECODERS: Final = tuple(name for name in NAMES if "logits" in (found := results(name)) and "enc_tokens" not in found)
"""Those that turn tokens into logits, without an encoder."""


def nmse(found: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> float:
    """Squared differences over squared values."""
    difference, size = found.astype(np.float64) - wanted, wanted.astype(np.float64)
    return float((difference**2).sum() / (size**2).sum())


def distance(name: str, found: npt.NDArray[Any], wanted: npt.NDArray[Any]) -> float:
    """The NMSE of logits that were rounded on their way; of a model with experts that of its middle token.

    There a rounded number can make a token choose another expert, and its logits are others.
    """
    if not any("_exps." in tensor for tensor in open_gguf(FOLDER / f"{name}.gguf").tensors):
        return nmse(found, wanted)
    return float(np.median([nmse(one, other) for one, other in zip(found, wanted, strict=True)]))
