"""`hf:owner/repository[:QUANT]` and `hf:owner/repository/file.gguf`: what is meant, and which files of a repository.

Names only: nothing is opened and nobody is asked.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from llamachat.catalog.splits import part_names, split_of
from llamachat.catalog.storage import file_name
from llamachat.errors import UsageError

PREFIX = "hf:"
FORM = "hf:owner/repository/file.gguf or hf:owner/repository[:QUANT]"
NO_MODELS = ("mmproj", "imatrix")
"""Files beside models whose names have these in them."""

PREFERRED = (
    "Q4_K_M", "Q4_K_S", "Q4_K_L", "Q4_K_XL", "Q4_K", "IQ4_XS", "IQ4_NL", "Q4_0", "Q4_1", "Q5_K_M", "Q5_K_S",
    "Q5_0", "Q5_1", "Q3_K_L", "Q3_K_M", "Q6_K", "MXFP4", "Q8_0", "Q3_K_S", "Q2_K", "BF16", "F16", "F32",
)  # fmt: skip
"""Block types from the one that is taken where none is named to those that are farther from it."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_QUANT = re.compile(
    r"(?<![A-Za-z0-9])((?:UD-)?I?Q\d[0-9A-Z]*(?:_[0-9A-Z]+)*|TQ\d_\d|MXFP4|NVFP4|BF16|FP?16|FP?32)(?![A-Za-z0-9])",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Reference:
    """What an address names: a repository ("owner/name"), and a file in it or a block type, each "" for none."""

    repo: str
    file: str = ""
    quant: str = ""

    def __str__(self) -> str:
        end = f"/{self.file}" if self.file else f":{self.quant}" if self.quant else ""
        return f"{PREFIX}{self.repo}{end}"


@dataclass(frozen=True)
class HubModel:
    """A model of a repository. path: its file, or the first of its files; n_bytes of all of them, None for unknown."""

    path: str
    n_bytes: int | None = None

    @property
    def quant(self) -> str:
        """The block type in its name, in capitals, or ""."""
        return quant_of(self.path)


def parse_reference(text: str) -> Reference:
    """What the address means. Raises UsageError for another form."""
    owner, _, rest = text.removeprefix(PREFIX).partition("/")
    name, slash, file = rest.partition("/")
    quant = ""
    if not slash:
        name, colon, quant = name.partition(":")
        if colon and not _NAME.fullmatch(quant):
            raise UsageError(f"{text}: not of the form {FORM}")
    if not all(_NAME.fullmatch(part) for part in (owner, name, *(file.split("/") if slash else ()))):
        raise UsageError(f"{text}: not of the form {FORM}")
    if slash:
        file_name(file, text)
    return Reference(f"{owner}/{name}", file, quant)


def quant_of(path: str) -> str:
    """The block type in the name of a file, or of the folder it lies in, or ""."""
    for part in reversed(PurePosixPath(path).parts[-2:]):
        if found := _QUANT.findall(part.removesuffix(".gguf")):
            return str(found[-1]).upper().replace("FP16", "F16").replace("FP32", "F32")
    return ""


def models_of(files: Mapping[str, int | None]) -> list[HubModel]:
    """The models among a repository's files, by path and size, the smallest first; of a split one the first file."""
    models = []
    for path, size in files.items():
        name = PurePosixPath(path).name
        if not name.lower().endswith(".gguf") or any(word in name.lower() for word in NO_MODELS):
            continue
        split = split_of(name)
        if split is not None and split.number != 1:
            continue
        sizes = [files.get(str(PurePosixPath(path).with_name(part)), size) for part in part_names(name)]
        known = [one for one in sizes if one is not None]
        models.append(HubModel(path, sum(known) if len(known) == len(sizes) else None))
    return sorted(models, key=lambda model: (model.n_bytes or 0, model.path))


def chosen(reference: Reference, models: Sequence[HubModel]) -> HubModel:
    """The model that is meant: of its block type, else Q4_K_M or the nearest to it.

    Raises UsageError, with what is there, where there is none of that type, or no model at all.
    """
    if not models:
        raise UsageError(f"there is no GGUF file in {reference.repo}: look for one whose name ends in -GGUF")
    if not reference.quant:
        return min(models, key=_distance)
    wanted = reference.quant.upper()
    exact = [model for model in models if model.quant == wanted]
    if found := exact or [model for model in models if model.quant.removeprefix("UD-") == wanted]:
        return found[0]
    there = ", ".join(dict.fromkeys(model.quant or PurePosixPath(model.path).name for model in models))
    raise UsageError(f"there is no {reference.quant} in {reference.repo}; there is {there}")


def is_certain(reference: Reference, models: Iterable[HubModel]) -> bool:
    """Whether the address names exactly one file."""
    return bool(reference.file or reference.quant) or len(list(models)) == 1


def _distance(model: HubModel) -> tuple[int, int]:
    quant = model.quant.removeprefix("UD-")
    return (PREFERRED.index(quant) if quant in PREFERRED else len(PREFERRED)), model.n_bytes or 0
