"""Options for prompt caches: the KV cache of an evaluated prompt in a file."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

if TYPE_CHECKING:
    from llamachat.dialogue.kept_prompt import PromptKeeper


class Mismatch(StrEnum):
    """What is done with a cache of another model or other settings."""

    REFUSE = "refuse"
    IGNORE = "ignore"


class FileType(StrEnum):
    """Types of the numbers in a file."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    Q8_0 = "q8_0"


@dataclass(frozen=True)
class PromptCacheChoice:
    """Where the KV cache of a prompt is saved, and of how much of the text."""

    prompt_cache: Annotated[
        Path | None,
        Option("--prompt-cache", metavar="FILE", help="Save the evaluated prompt (its KV cache) in FILE, and "
               "restore it the next time."),
    ] = None  # fmt: skip
    prompt_cache_all: Annotated[bool, Option("--prompt-cache-all", help="Save the answer and typed text, too.")] = False
    prompt_cache_ro: Annotated[bool, Option("--prompt-cache-ro", help="Read the file, but never write it.")] = False
    prompt_cache_mismatch: Annotated[
        Mismatch,
        Option(
            "--prompt-cache-mismatch", help="For a file of another model or other settings: refuse it, or ignore it."
        ),
    ] = Mismatch.REFUSE

    prompt_cache_type: Annotated[
        FileType | None,
        Option("--prompt-cache-type", help="Data type of the values in the file. [default: that of the KV cache] "
               "q8_0 takes half the space of f16, but the results are no longer bit-equal."),
    ] = None  # fmt: skip

    def keeper(self, watched: bool) -> "PromptKeeper | None":
        """What reads and writes the file; None where nothing is kept. watched: a person sees standard error."""
        if self.prompt_cache is None:
            return None
        from llamachat.dialogue.kept_prompt import PromptKeeper
        from llamachat.terminal.output import note

        return PromptKeeper(
            self.prompt_cache,
            note,
            note if watched else None,
            self.prompt_cache_all,
            self.prompt_cache_ro,
            self.prompt_cache_mismatch is Mismatch.IGNORE,
            self.prompt_cache_type and self.prompt_cache_type.value,
        )
