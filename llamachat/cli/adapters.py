"""Options that change a model while it runs: adapters, control vectors, metadata, positions."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from llamachat.cli.words import dashed, option_words
from llamachat.errors import UsageError

if TYPE_CHECKING:
    from llamachat.engine.adapters import Adapters
    from llamachat.engine.overrides import Overrides

SCALINGS = ("none", "linear", "yarn")
PAIRS = ("--lora-scaled", "--control-vector-scaled", "--control-vector-layer-range")
"""Options that take two words, FILE SCALE or START END; inside the program they are one, with a colon between."""

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class MetadataChoice:
    """Metadata in place of the file's."""

    override_kv: Annotated[
        list[str] | None,
        Option("--override-kv", metavar="KEY=TYPE:VALUE", help="Metadata in place of the file's own; TYPE is int, "
               "float, bool or str. May be given several times."),
    ] = None  # fmt: skip
    rope_scaling: Annotated[
        str | None,
        Option("--rope-scaling", metavar="TYPE", help=f"Scaling of rotary positions: {', '.join(SCALINGS)}. "
               "[default: the file's]"),
    ] = None  # fmt: skip
    rope_scale: Annotated[
        float | None,
        Option("--rope-scale", min=1e-6, metavar="X", help="Factor by which the context is longer than the trained."),
    ] = None  # fmt: skip
    rope_freq_base: Annotated[
        float | None, Option("--rope-freq-base", min=1.001, metavar="X", help="Base of the rotary frequencies.")
    ] = None
    rope_freq_scale: Annotated[
        float | None, Option("--rope-freq-scale", min=1e-6, metavar="X", help="The inverse of --rope-scale.")
    ] = None
    yarn_orig_ctx: Annotated[
        int | None,
        Option("--yarn-orig-ctx", min=0, metavar="N", help="YaRN: tokens of the original context; 0 is the trained."),
    ] = None  # fmt: skip
    yarn_ext_factor: Annotated[
        float | None,
        Option("--yarn-ext-factor", min=-1.0, metavar="X", help="YaRN: share of the unscaled angles; 0 is linear "
               "scaling, -1 is what --rope-scaling says."),
    ] = None  # fmt: skip
    yarn_attn_factor: Annotated[
        float | None,
        Option("--yarn-attn-factor", min=0.0, metavar="X", help="YaRN: factor of the attention's magnitude."),
    ] = None  # fmt: skip
    yarn_beta_fast: Annotated[
        float | None, Option("--yarn-beta-fast", min=1e-6, metavar="X", help="YaRN: turns of pairs that stay unscaled.")
    ] = None
    yarn_beta_slow: Annotated[
        float | None, Option("--yarn-beta-slow", min=1e-6, metavar="X", help="YaRN: turns of pairs that are scaled.")
    ] = None

    @property
    def overrides(self) -> "Overrides":
        """All of these. Raises UsageError for what is no override, and no scaling."""
        if self.rope_scaling not in (None, *SCALINGS):
            said = f"unknown scaling {self.rope_scaling!r}: known are {', '.join(SCALINGS)}"
            raise UsageError(said, settings=("rope_scaling",))
        from llamachat.engine.overrides import Override, Overrides, Positions  # the engine, which --help does without

        positions = {name: getattr(self, name) for name in Positions.__dataclass_fields__}
        return Overrides(tuple(map(Override.parse, self.override_kv or ())), Positions(**positions))


@dataclass(frozen=True)
class AdapterChoice:
    """LoRA adapters and control vectors."""

    lora: Annotated[
        list[Path] | None,
        Option("--lora", metavar="FILE", help="A LoRA adapter (GGUF). May be given several times."),
    ] = None  # fmt: skip
    lora_scaled: Annotated[
        list[str] | None,
        Option("--lora-scaled", metavar="FILE SCALE", help="A LoRA adapter and what its effect is multiplied by. May "
               "be given several times."),
    ] = None  # fmt: skip
    control_vector: Annotated[
        list[Path] | None,
        Option("--control-vector", metavar="FILE", help="A control vector (GGUF). May be given several times."),
    ] = None  # fmt: skip
    control_vector_scaled: Annotated[
        list[str] | None,
        Option("--control-vector-scaled", metavar="FILE SCALE", help="A control vector and its factor. May be given "
               "several times."),
    ] = None  # fmt: skip
    control_vector_layer_range: Annotated[
        str | None,
        Option("--control-vector-layer-range", metavar="START END", help="The layers that control vectors change, "
               "both included, counted from 0. [default: all]"),
    ] = None  # fmt: skip

    @property
    def adapters(self) -> "Adapters":
        """All of these. Raises UsageError for a scale that is no number, and a range that is none."""
        from llamachat.engine.adapters import Adapters  # the engine, which --help does without

        lora = [*(self.lora or ()), *(_scaled(one, "lora_scaled") for one in self.lora_scaled or ())]
        scaled = [_scaled(one, "control_vector_scaled") for one in self.control_vector_scaled or ()]
        vectors = [*(self.control_vector or ()), *scaled]
        return Adapters.of(lora, vectors, _range(self.control_vector_layer_range))


def _scaled(text: str, setting: str) -> tuple[Path, float]:
    name, colon, scale = text.rpartition(":")
    if not (name and colon and NUMBER.fullmatch(scale)) or not math.isfinite(float(scale)):
        said = f"{scale!r} is no number" if name else repr(text)
        raise UsageError(f"{said}: give a file and a number, as in `adapter.gguf 0.5`", settings=(setting,))
    return Path(name), float(scale)


def _range(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    first, _, last = text.partition(":")
    if not (first.isdecimal() and last.isdecimal() and max(len(first), len(last)) < 10):
        said = f"{text!r}: give the first and the last layer, as in `2 20`"
        raise UsageError(said, settings=("control_vector_layer_range",))
    return int(first), int(last)


def _is_pair(first: str, second: str) -> bool:
    """Whether two words behind such an option are both its own."""
    if NUMBER.fullmatch(second):
        return True
    _, colon, number = first.rpartition(":")
    return not (second.startswith("-") or (colon and NUMBER.fullmatch(number)))


def joined(words: Sequence[str], command: Any) -> list[str]:
    """The words of a command line with one for each option of two: `--lora-scaled FILE SCALE` is `=FILE:SCALE`.

    A second word that is no number is taken, too, unless the first one has a number or the second is an option: what
    is wrong is then said of this option, and not of the words behind it.
    """
    own = {name for one in command.params for name in one.opts} & set(PAIRS)
    made: list[str] = []
    flags, at = list(option_words(words, command)), 0
    while at < len(words):
        word, following = words[at], words[at + 1 : at + 3]
        if own and flags[at] and dashed(word) in own and len(following) == 2 and _is_pair(*following):
            made.append(f"{dashed(word)}={following[0]}:{following[1]}")
            at += 3
        else:
            made.append(word)
            at += 1
    return made
