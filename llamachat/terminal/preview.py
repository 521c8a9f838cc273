"""A prompt as a model would see it, with the settings that its answer would have: for a person, or as JSON."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from llamachat.engine.sampling.options import RANDOM_SEED, SamplingOptions
from llamachat.terminal.output import Output
from llamachat.terminal.schema import versioned

if TYPE_CHECKING:
    from llamachat.engine.generate import GenerationOptions
    from llamachat.engine.tokenizers import Tokenizer

USUAL = ("temp", "top_k", "top_p", "min_p", "seed")
"""Settings that are shown even where they are as built in."""

UNTOLD = ("logprobs", "given", "sampling_seq")
LENGTHS = {-1: "until the model ends", -2: "until the context is full"}


@dataclass(frozen=True)
class Preview:
    """What one answer would be made of. model: its file; template: "raw", or what a chat's template is called."""

    model: str
    template: str
    ids: list[int]
    options: "GenerationOptions"
    tokenizer: "Tokenizer"

    @property
    def text(self) -> str:
        """The prompt, spelled from its tokens."""
        pieces = (self.tokenizer.piece_bytes(token, special=True) for token in self.ids)
        return b"".join(pieces).decode("utf-8", "replace")

    def record(self) -> dict[str, Any]:
        """All of it, for programs."""
        grammar = self.options.grammar
        return {
            "model": self.model,
            "template": self.template,
            "prompt": self.text,
            "n_tokens": len(self.ids),
            "tokens": self.ids,
            "n_predict": self.options.max_tokens,
            "stop": list(self.options.stop),
            "constrained": grammar is not None,
            "sampling": _settings(self.options.sampling),
        }

    def lines(self) -> Iterator[str]:
        """All of it but the tokens, for people: names and values, then the prompt."""
        length = self.options.max_tokens
        sampling = _settings(self.options.sampling)
        yield f"model     {self.model}"
        yield f"template  {self.template}"
        yield f"tokens    {len(self.ids)}"
        yield f"length    {LENGTHS.get(length) or f'at most {length} tokens'}"
        if self.options.stop:
            yield f"stop      {' '.join(json.dumps(text, ensure_ascii=False) for text in self.options.stop)}"
        if self.options.grammar is not None:
            yield "form      kept by a grammar or a schema"
        shown = [f"{name} {_shown(name, value)}" for name, value in sampling.items() if _is_listed(name, value)]
        yield f"sampling  {', '.join(shown)}"
        yield "prompt"
        yield self.text


def print_previews(previews: list[Preview], as_json: bool) -> None:
    """Writes them to standard output, with an empty line between, or each as a line of JSON."""
    output = Output()
    for index, one in enumerate(previews):
        if as_json:
            output.write(json.dumps(versioned(one.record()), ensure_ascii=False) + "\n")
            continue
        output.write("\n".join([*([""] if index else []), *one.lines()]))
        output.end_line()


def _settings(sampling: SamplingOptions) -> dict[str, Any]:
    return {item.name: getattr(sampling, item.name) for item in fields(sampling) if item.name not in UNTOLD}


def _is_listed(name: str, value: object) -> bool:
    return name in USUAL or value != getattr(SamplingOptions(), name)


def _shown(name: str, value: Any) -> str:
    if name == "seed" and value == RANDOM_SEED:
        return "random"
    if name == "samplers":
        return ";".join(value)
    return str(value) if isinstance(value, int | float | str) else json.dumps(value, ensure_ascii=False)
