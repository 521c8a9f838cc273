"""The language of a family's tensors: the checkpoint's name, the GGUF name, and what is done with the numbers.

    model.embed_tokens                      token_embd
    model.layers.*.self_attn.q_proj         blk.*.attn_q            turned:attention.head_count
    model.layers.*.mlp.experts.#.up_proj    blk.*.ffn_up_exps                   # experts, stacked
    model.layers.*.mixer.A_log              blk.*.ssm_a             minus_exp   # a full name: no `.weight` behind it
    model.layers.*.mlp.gate_up              blk.*.ffn_gate_exps     half:0      # two lines: two tensors of one
    model.layers.*.mlp.up_blocks+model.layers.*.mlp.up_scales  blk.*.ffn_up_exps.weight  mxfp4   # one of two
    model.layers.*.rotary_emb.inv_freq      -                                   # is not needed

`*` is the layer, `#` an expert. A name stands for itself and for itself with `.weight` and `.bias`; it is found also
without the `model.` in front, as bases of models have it. Words behind the names are steps (`steps.py`), one after the
other; what follows a colon are whole numbers or metadata keys of the architecture.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from llamachat.engine.gguf.metadata import shown
from llamachat.errors import ModelFileError, Unsupported
from llamachat.prepare.convert.source import Source

DROPPED: Final = "-"
ENDINGS: Final = (".weight", ".bias")

WRAPPERS: Final = (
    ("model.language_model.lm_head.", "lm_head."),
    ("language_model.lm_head.", "lm_head."),
    ("model.language_model.model.", "model."),
    ("language_model.model.", "model."),
    ("model.language_model.", "model."),
    ("language_model.", "model."),
    ("model.text_model.", "model."),
)
"""What stands before the names of a text model that is a part of a larger one, and what they are without it."""

OTHER_SENSES: Final = (
    *("vision_tower.", "model.vision_tower.", "vision_model.", "model.vision_model.", "visual.", "model.visual."),
    *("multi_modal_projector.", "model.multi_modal_projector.", "audio_tower.", "model.audio_tower."),
    *("embed_vision.", "model.embed_vision.", "embed_audio.", "model.embed_audio.", "model.connector.", "mtp."),
)
"""Tensors for pictures and sounds, and for guessing several tokens: a text model works without them."""

_NUMBER: Final = re.compile(r"(?<=\.)\d+(?=\.)")


@dataclass(frozen=True)
class Rule:
    """One line of a table. partners: the names that are joined with the first one."""

    target: str
    steps: tuple[str, ...]
    partners: tuple[str, ...] = ()


Rules = Mapping[str, Sequence[Rule]]


@dataclass
class Planned:
    """A tensor of the result. sources: by the number of their expert; those that are joined in the rule's order."""

    name: str
    steps: tuple[str, ...]
    sources: dict[int | None, list[Source]] = field(default_factory=dict)


def parse_rules(table: str) -> Rules:
    """{a checkpoint's name: its lines} of a table."""
    rules: dict[str, list[Rule]] = {}
    for line in table.splitlines():
        words = line.partition(" #")[0].split()
        if words and not words[0].startswith("# "):
            first, *partners = words[0].split("+")
            rules.setdefault(first, []).append(Rule(words[1], tuple(words[2:]), tuple(partners)))
            for partner in partners:
                rules.setdefault(partner, [])
    return rules


def plan_tensors(rules: Rules, tensors: Mapping[str, Source]) -> list[Planned]:
    """What becomes of a checkpoint's tensors, in its order. Raises Unsupported for a tensor that no line names,
    ModelFileError where an expert, or a part of what is joined, is missing.
    """
    planned: dict[str, Planned] = {}
    plain = {_unwrapped(name): source for name, source in tensors.items() if not name.startswith(OTHER_SENSES)}
    for name, source in plain.items():
        found = _found(rules, name)
        if found is None:
            raise Unsupported("this tensor is not known for this architecture", where=shown(source.name))
        pattern, ending, numbers = found
        for rule in rules[pattern]:
            if rule.target == DROPPED:
                continue
            target = rule.target.replace("*", str(numbers[0]) if numbers else "*", 1) + ending
            expert = numbers[1] if "#" in pattern else None
            joined = [source, *(_partner(plain, partner, numbers, ending, source) for partner in rule.partners)]
            entry = planned.setdefault(target, Planned(target, rule.steps))
            if expert in entry.sources:
                raise ModelFileError(f"this tensor and another one are both {target}", where=shown(source.name))
            entry.sources[expert] = joined
    for one in planned.values():
        _check_experts(one)
    return list(planned.values())


def _unwrapped(name: str) -> str:
    for before, after in WRAPPERS:
        if name.startswith(before):
            return after + name.removeprefix(before)
    return name


def _found(rules: Rules, name: str) -> tuple[str, str, list[int]] | None:
    """(pattern, ending, layer and expert) of a tensor's name."""
    for whole in (name, f"model.{name}"):
        numbers = [int(one) for one in _NUMBER.findall(f"{whole}.")]
        starred = _NUMBER.sub("*", f"{whole}.", 1)[:-1]
        sharp = _NUMBER.sub("#", f"{starred}.", 1)[:-1]
        for ending in ("", *ENDINGS):
            for pattern in dict.fromkeys((sharp, starred, whole)):
                if pattern.endswith(ending) and (found := pattern.removesuffix(ending)) in rules:
                    return found, ending, numbers
    return None


def _partner(plain: Mapping[str, Source], pattern: str, numbers: list[int], ending: str, of: Source) -> Source:
    name = pattern
    for sign, number in zip("*#", numbers, strict=False):
        name = name.replace(sign, str(number), 1)
    for whole in (name + ending, (name + ending).removeprefix("model.")):
        if whole in plain:
            return plain[whole]
    raise ModelFileError(f"this tensor, which belongs to {of.name}, is missing", where=name + ending)


def _check_experts(planned: Planned) -> None:
    numbers = planned.sources.keys()
    if None in numbers:
        return
    missing = next((number for number in range(len(numbers)) if number not in numbers), None)
    if missing is not None:
        raise ModelFileError(f"expert {missing} is missing, and there are {len(numbers)} others", where=planned.name)
