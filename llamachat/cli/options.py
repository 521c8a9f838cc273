"""The options that commands share, each declared once."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

if TYPE_CHECKING:
    from llamachat.engine.generate import GenerationOptions
    from llamachat.engine.sampling.options import SamplingOptions


Verbose = Annotated[bool, Option("--verbose", "-v", help="Say on standard error what is done and how fast.")]
System = Annotated[str | None, Option("--system", metavar="TEXT", help="What the model is told before the talk.")]
Threads = Annotated[
    int | None, Option("--threads", "-t", min=1, metavar="N", help="Worker threads. [default: one per core]")
]


@dataclass(frozen=True)
class ModelFile:
    """Which model."""

    model: Annotated[
        str | None,
        Option("--model", "-m", metavar="MODEL", help="A GGUF file, or a name from `llamachat models`. "
               "[default: SmolLM2 135M, fetched when first needed]"),
    ] = None  # fmt: skip


@dataclass(frozen=True)
class ModelChoice(ModelFile):
    """Which model, and with how much memory and how many threads it is run."""

    ctx_size: Annotated[
        int | None,
        Option("--ctx-size", "-c", min=1, metavar="N", help="Tokens that the context holds. "
               "[default: the model's own, up to 8192, less if memory asks for it]"),
    ] = None  # fmt: skip
    threads: Threads = None


@dataclass(frozen=True)
class LengthChoice:
    """Where an answer ends."""

    n_predict: Annotated[
        int, Option("--n-predict", "-n", min=-1, metavar="N", help="At most N tokens; -1 = until the model ends.")
    ] = -1
    stop: Annotated[
        list[str] | None, Option("--stop", metavar="TEXT", help="End before TEXT. May be given several times.")
    ] = None

    def options(self, sampling: "SamplingOptions") -> "GenerationOptions":
        """The engine's options for one answer. Raises UsageError for an empty stop text."""
        from llamachat.engine.generate import GenerationOptions  # numpy, which --help does without

        return GenerationOptions(sampling=sampling, max_tokens=self.n_predict, stop=tuple(self.stop or ()))


@dataclass(frozen=True)
class PromptChoice:
    """Where the prompt comes from."""

    prompt: Annotated[str | None, Option("--prompt", "-p", metavar="TEXT", help="The prompt.")] = None
    file: Annotated[
        list[Path] | None,
        Option("--file", "-f", metavar="FILE", help="A file to append to the prompt, after a blank line; `-` is "
               "standard input. May be given several times."),
    ] = field(default=None)  # fmt: skip
