"""What a file of `families/` exports: how one family's checkpoints become GGUF, as data."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from llamachat.engine.gguf.metadata import shown
from llamachat.errors import Unsupported
from llamachat.prepare.convert import families
from llamachat.prepare.convert.config import Config
from llamachat.prepare.convert.settings import LLM
from llamachat.prepare.convert.source import Floats, Source

Settings = dict[str, object]
"""Metadata keys without the architecture's prefix."""


@dataclass(frozen=True)
class Family:
    """One family.

    classes: the names in `architectures` of config.json, and the `general.architecture` that each becomes.
    tensors: a table of `rules.py`. settings: one of `settings.py`. only: {setting: the values that the architecture
    computes with}. defaults: what the family's own code assumes where config.json says nothing. more: settings that
    a table cannot tell, from config.json and what the tables gave. made: tensors that no checkpoint has, from config
    and settings. chosen: the tensors that count, if not all do. without_effect: settings that change nothing here.
    pre: names of `tokenizer.ggml.pre`, the likeliest first, where several cut texts alike. rope: whether positions
    turn. tied: the output head is the embedding even where config.json says nothing.
    """

    classes: Mapping[str, str]
    tensors: str
    settings: str = LLM
    only: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    more: Callable[[Config, Settings], Settings] = lambda config, settings: {}
    made: Callable[[Config, Settings], Mapping[str, Floats]] = lambda config, settings: {}
    chosen: Callable[[Config, Mapping[str, Source]], Mapping[str, Source]] = lambda config, tensors: tensors
    without_effect: str = ""
    pre: tuple[str, ...] = ()
    rope: bool = True
    tied: bool = False
    tokens: Mapping[str, object] = field(default_factory=dict)


SILU: Final = {"hidden_act": ("silu", "swish"), "hidden_activation": ("silu",)}
GELU: Final = ("gelu", "gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python")
"""Names of GELU; the tanh form is what GGUF's architectures compute, the exact one differs by 1e-3 at most."""


@cache
def families_by_class() -> Mapping[str, Family]:
    """{name in `architectures`: family}. Imports every file of `families/`."""
    found: dict[str, Family] = {}
    for module in pkgutil.iter_modules(families.__path__):
        imported = importlib.import_module(f"{families.__name__}.{module.name}")
        for family in vars(imported).values():
            if isinstance(family, Family):
                found |= dict.fromkeys(family.classes, family)
    return found


def family_of(config: Config) -> tuple[Family, str]:
    """The family of a config.json, and its `general.architecture`. Raises Unsupported for one that is not known."""
    names = config.first(("architectures",), [])
    for name in names if isinstance(names, list) else []:
        if name in families_by_class():
            family = families_by_class()[name]
            return family, family.classes[name]
    said = ", ".join(shown(name) for name in names) if isinstance(names, list) and names else "missing"
    raise Unsupported(f"is {said}, which cannot be converted yet", config.path, "architectures")
