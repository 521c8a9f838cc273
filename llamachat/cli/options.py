"""The options that commands share, each declared once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from typer import Option

from llamachat.cli.adapters import AdapterChoice, MetadataChoice
from llamachat.cli.constraint import ConstraintChoice
from llamachat.errors import UsageError

if TYPE_CHECKING:
    from llamachat.engine.generate import GenerationOptions
    from llamachat.engine.sampling.options import SamplingOptions


CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")
Verbose = Annotated[bool, Option("--verbose", "-v", help="Print what is done, and how fast, on standard error.")]
System = Annotated[str | None, Option("--system", metavar="TEXT", help='The system prompt, as in "Answer briefly."')]
SystemFile = Annotated[Path | None, Option("--system-file", metavar="FILE", help="The same, from a file.")]
Files = Annotated[
    list[Path] | None,
    Option("--file", "-f", metavar="FILE", help="A file to append to the prompt after a blank line; `-` is "
               "standard input. May be given several times."),
]  # fmt: skip
Yes = Annotated[bool, Option("--yes", help="Download a missing model without asking.")]
Overwrite = Annotated[bool, Option("--overwrite", help="Replace a file that is there already.")]
Threads = Annotated[
    int | None, Option("--threads", "-t", min=1, metavar="N", help="Number of worker threads. [default: one per core]")
]


@dataclass(frozen=True)
class ModelFile:
    """Which model. places: where the settings that count were made, by field."""

    model: Annotated[
        str | None,
        Option("--model", "-m", metavar="MODEL", help="A GGUF file, a name from `llamachat models`, or "
               "hf:owner/repository[:QUANT]. [default: SmolLM2 135M, downloaded when first needed]"),
    ] = None  # fmt: skip
    yes: Yes = False
    places: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelFileAndMore(AdapterChoice, MetadataChoice, ModelFile):
    """Which model, and what changes it: other metadata, adapters."""

    def alone(self, model: str) -> Self:
        """Another model with the same settings, but without what is meant for this one."""
        own: dict[str, Any] = {f.name: None for group in (AdapterChoice, MetadataChoice) for f in fields(group)}
        return replace(self, model=model, places={}, **own)


@dataclass(frozen=True)
class ModelChoice(ModelFileAndMore):
    """Which model, and with how much memory and how many threads it is run."""

    ctx_size: Annotated[
        int | None,
        Option("--ctx-size", "-c", min=1, metavar="N", help="Size of the context (n_ctx) in tokens. [default: "
               "the model's training context, at most 8192, less if memory is short]"),
    ] = None  # fmt: skip
    threads: Threads = None
    cache_type_k: Annotated[
        str,
        Option(
            "--cache-type-k",
            "-ctk",
            metavar="TYPE",
            help=f"Data type of the KV cache for keys: {', '.join(CACHE_TYPES)}.",
        ),
    ] = "f16"
    cache_type_v: Annotated[
        str,
        Option(
            "--cache-type-v", "-ctv", metavar="TYPE", help="Data type of the KV cache for values: the same choices."
        ),
    ] = "f16"
    keep_packed: Annotated[
        str | None,
        Option("--keep-packed", metavar="SIZE", help="Keep packed weights on disk for a faster next start, those of "
               "all models in at most SIZE, as in `20G`; 0 keeps none. [default: 0] `doctor` lists them."),
    ] = None  # fmt: skip
    grp_attn_n: Annotated[
        int,
        Option(
            "--grp-attn-n",
            "-gan",
            min=1,
            metavar="N",
            help="Self-Extend: group factor; this many old tokens share a position. 1 is off.",
        ),
    ] = 1
    grp_attn_w: Annotated[
        int,
        Option(
            "--grp-attn-w",
            "-gaw",
            min=1,
            metavar="N",
            help="Self-Extend: group width; the newest positions that are not grouped.",
        ),
    ] = 512

    def __post_init__(self) -> None:
        for option in ("cache_type_k", "cache_type_v"):
            if (name := getattr(self, option)) not in CACHE_TYPES:
                raise UsageError(f"unknown cache type {name!r}: known are {', '.join(CACHE_TYPES)}", settings=(option,))

    @property
    def kept_bytes(self) -> int:
        """What packed weights may take on disk. Raises UsageError for what is no size."""
        from llamachat.engine.memory import parse_size

        return parse_size(self.keep_packed, "the size of --keep-packed") if self.keep_packed else 0

    @property
    def self_extend(self) -> tuple[int, int] | None:
        """Group and width, if positions are to be shared."""
        return (self.grp_attn_n, self.grp_attn_w) if self.grp_attn_n > 1 else None


@dataclass(frozen=True)
class LengthChoice:
    """Where an answer ends."""

    n_predict: Annotated[
        int | None,
        Option("--n-predict", "--predict", "-n", min=-2, metavar="N", help="Maximum number of tokens to "
               "generate; -1: no limit, with context shift; -2: until the context is full. [default: until an "
               "end token, or until the context is full]"),
    ] = None  # fmt: skip
    stop: Annotated[
        list[str] | None, Option("--stop", metavar="TEXT", help="Stop before this text. May be given several times.")
    ] = None
    keep: Annotated[
        int,
        Option("--keep", min=-1, metavar="N", help="When the context is full, keep the first N tokens, drop half "
               "of the others and continue; -1: keep the whole prompt."),
    ] = 0  # fmt: skip
    context_shift: Annotated[
        bool,
        Option(
            "--context-shift/--no-context-shift",
            help="Whether the oldest tokens may be dropped when the context is full.",
        ),
    ] = True

    def __post_init__(self) -> None:
        if "" in (self.stop or ()):
            raise UsageError("--stop: an empty text would stop the model before its first word")

    def options(
        self, sampling: "SamplingOptions", constraint: ConstraintChoice | None = None, endless: bool = False
    ) -> "GenerationOptions":
        """The engine's options for one answer. endless: old tokens are forgotten also where nobody asks for that."""
        from llamachat.engine.generate import UNLIMITED, GenerationOptions  # numpy, which --help does without

        shifts = self.context_shift and (endless or self.keep != 0 or self.n_predict == UNLIMITED)
        return GenerationOptions(
            sampling=sampling,
            max_tokens=UNLIMITED if self.n_predict is None else self.n_predict,
            stop=tuple(self.stop or ()),
            grammar=constraint.source if constraint is not None else None,
            n_keep=self.keep if shifts else None,
        )


@dataclass(frozen=True)
class PromptChoice:
    """Where the prompt comes from."""

    prompt: Annotated[str | None, Option("--text", "--prompt", "-p", metavar="TEXT", help="The prompt.")] = None
    file: Files = None
