"""Which options of `run` go together: typed ones that do not are refused, and a setting gives way to what is typed."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from llamachat.cli.manner import RunMode
from llamachat.cli.options import ModelChoice
from llamachat.cli.prompt_cache import PromptCacheChoice
from llamachat.cli.run_prompt import RunPrompt
from llamachat.cli.speculation import SpeculationChoice
from llamachat.errors import UsageError

OF_CHATS = ("chat_template", "template_kwargs", "reasoning")
SEVERAL = ("parallel", "prompts")
SINGLE = (
    "prompt_cache",
    "prompt_cache_all",
    "prompt_cache_ro",
    "prompt_cache_type",
    "lookup",
    "model_draft",
    "grp_attn_n",
)
"""What only a single answer can have."""


@dataclass(frozen=True)
class Asked:
    """What the command line and the settings ask for."""

    manner: RunMode
    model: ModelChoice
    prompt: RunPrompt
    speculation: SpeculationChoice
    kept: PromptCacheChoice

    def agreed(self, typed: Collection[str]) -> "Asked":
        """The same without the settings that do not go with the rest. Raises UsageError for typed options."""
        if not self.manner.answers and (vain := [name for name in OF_CHATS if name in typed]):
            raise UsageError(f"{_listed(vain[:1])} is part of a chat: give --chat too")
        return self._lines_or_file(typed)._several_or_single(typed)

    def _lines_or_file(self, typed: Collection[str]) -> "Asked":
        if self.manner.prompts is None or not self.prompt.file:
            return self
        if "file" not in typed:
            return replace(self, prompt=replace(self.prompt, file=None))
        if "prompts" in typed:
            raise UsageError("--prompts and --file exclude one another: each line of --prompts is an input of its own")
        return replace(self, manner=replace(self.manner, prompts=None))

    def _several_or_single(self, typed: Collection[str]) -> "Asked":
        if not self.manner.many:
            return self
        values = {**vars(self.kept), **vars(self.speculation), "grp_attn_n": self.model.self_extend}
        single = [name for name in SINGLE if values[name] and name in typed]
        several = [name for name in SEVERAL if name in typed]
        if single and several:
            raise UsageError(f"{_listed(several)} cannot be combined with {_listed(single)}: they are for one answer")
        if single:
            return replace(self, manner=replace(self.manner, parallel=None, prompts=None))
        return replace(
            self,
            model=replace(self.model, grp_attn_n=1),
            speculation=SpeculationChoice(),
            kept=PromptCacheChoice(),
        )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(f"--{name.replace('_', '-')}" for name in names)
