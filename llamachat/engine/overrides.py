"""Metadata that a person sets in place of a file's own: `KEY=TYPE:VALUE`, and how rotary positions are scaled."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Final

from llamachat.engine.gguf import GgufFile
from llamachat.engine.gguf.metadata import shown
from llamachat.engine.models import family_of
from llamachat.engine.models.params import keys_read
from llamachat.errors import UsageError

Value = int | float | bool | str
KINDS: Final[Mapping[str, type]] = {"int": int, "float": float, "bool": bool, "str": str}
TRUTH: Final[Mapping[str, bool]] = {"true": True, "false": False}
LONGEST_KEY: Final = 127
LARGEST: Final = 1 << 63

TOKENIZER: Final = "tokenizer."
"""Keys of vocabularies: scalars that a file may lack."""
OTHERS: Final = frozenset({"general.architecture", "general.name"})
NO_OVERRIDE: Final = frozenset({"split.count", "split.no", "split.tensors.count", "general.alignment"})
"""Keys that say where a file's tensors are."""


@dataclass(frozen=True)
class Override:
    """A key of the metadata and its value."""

    key: str
    value: Value

    @classmethod
    def parse(cls, text: str) -> Override:
        """Of "KEY=TYPE:VALUE", TYPE being int, float, bool or str. Raises UsageError."""
        key, equals, typed = text.partition("=")
        kind, colon, value = typed.partition(":")
        if not (key and equals and colon and kind in KINDS and len(key) <= LONGEST_KEY):
            said = f"{text!r}: an override is KEY=TYPE:VALUE, as in llama.rope.freq_base=float:500000, with the type"
            raise UsageError(f"{said} {', '.join(KINDS)}", settings=("override_kv",))
        return cls(key, _value(text, kind, value))

    def __str__(self) -> str:
        kind = next(name for name, kind in KINDS.items() if type(self.value) is kind)
        return f"{self.key}={kind}:{str(self.value).lower() if kind == 'bool' else self.value}"


def _value(text: str, kind: str, value: str) -> Value:
    try:
        found: Value = TRUTH[value] if kind == "bool" else KINDS[kind](value)
    except (KeyError, ValueError):
        what = {"int": "a whole number", "float": "a number", "bool": "true or false"}[kind]
        raise UsageError(f"{text!r}: {value!r} must be {what}", settings=("override_kv",)) from None
    if isinstance(found, float) and not math.isfinite(found):
        raise UsageError(f"{text!r}: {value!r} must be a finite number", settings=("override_kv",))
    if isinstance(found, int) and not -LARGEST <= found < LARGEST:
        raise UsageError(f"{text!r}: {value!r} must be a number of at most 64 bits", settings=("override_kv",))
    return found


@dataclass(frozen=True)
class Positions:
    """How rotary positions are scaled, in place of what the file says; None: as it says.

    rope_scaling: "none", "linear" or "yarn". rope_scale: a factor of the context's length; rope_freq_scale: its
    inverse. rope_freq_base: base of the frequencies. yarn_*: see `RopeSpec`; yarn_orig_ctx 0 is the trained context.
    """

    rope_scaling: str | None = None
    rope_scale: float | None = None
    rope_freq_scale: float | None = None
    rope_freq_base: float | None = None
    yarn_orig_ctx: int | None = None
    yarn_ext_factor: float | None = None
    yarn_attn_factor: float | None = None
    yarn_beta_fast: float | None = None
    yarn_beta_slow: float | None = None

    def overrides(self, metadata: Mapping[str, object]) -> dict[str, Override]:
        """{setting: the metadata key that it means for a file}.

        Raises ModelFileError for a file without an architecture, UsageError for a scale that has no inverse.
        """
        name, _ = family_of(metadata)
        found: dict[str, Value] = {setting: value for setting, value in self.given.items() if setting in KEYS}
        if self.rope_freq_scale is not None:
            if not self.rope_freq_scale > 0:
                raise UsageError(f"is {self.rope_freq_scale}, must be above 0", settings=("rope_freq_scale",))
            found["rope_scale"] = 1 / self.rope_freq_scale
        missing = self.rope_scaling == "yarn" and f"{name}.{KEYS['yarn_orig_ctx']}" not in metadata
        if not found.get("yarn_orig_ctx", not missing):
            trained = metadata.get(f"{name}.context_length")
            found["yarn_orig_ctx"] = trained if isinstance(trained, int) else 0
        return {setting: Override(f"{name}.{KEYS[setting]}", value) for setting, value in found.items()}

    @property
    def given(self) -> dict[str, Value]:
        """Those that are set."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}


KEYS: Final[Mapping[str, str]] = {
    "rope_scaling": "rope.scaling.type",
    "rope_scale": "rope.scaling.factor",
    "rope_freq_base": "rope.freq_base",
    "yarn_orig_ctx": "rope.scaling.original_context_length",
    "yarn_ext_factor": "rope.scaling.yarn_ext_factor",
    "yarn_attn_factor": "rope.scaling.attn_factor",
    "yarn_beta_fast": "rope.scaling.yarn_beta_fast",
    "yarn_beta_slow": "rope.scaling.yarn_beta_slow",
}


@dataclass(frozen=True)
class Overrides:
    """All that a person sets in place of metadata. A key that is set twice has the last value."""

    values: tuple[Override, ...] = ()
    positions: Positions = Positions()

    @classmethod
    def of(cls, given: Iterable[str | Override] | Mapping[str, Value] | Overrides) -> Overrides:
        """Of texts "KEY=TYPE:VALUE", or {key: value}. Raises UsageError for a text that is none."""
        if isinstance(given, Overrides):
            return given
        if isinstance(given, Mapping):
            return cls(tuple(Override(key, value) for key, value in given.items()))
        return cls(tuple(one if isinstance(one, Override) else Override.parse(one) for one in given))

    def apply(self, file: GgufFile) -> GgufFile:
        """The file with these metadata. Raises UsageError for a key that means nothing for this model, by its name."""
        if self == NOTHING:
            return file
        values = {one.key: one.value for one in self.values}
        for key in values:
            _check_not_array(key, file.metadata)
        positions = self.positions.overrides(_Overlay(file.metadata, values))
        settings = {one.key: setting for setting, one in positions.items()}
        values |= {one.key: one.value for one in positions.values()}
        changed = _Overlay(file.metadata, values)
        for key, value in values.items():
            try:
                _check(key, value, changed, file.metadata)
            except UsageError as error:
                raise UsageError(str(error), settings=(settings.get(key, "override_kv"),)) from None
        return replace(file, metadata=changed)

    def __str__(self) -> str:
        """What tells them from others, each quoted as a shell wants it; "" where nothing is set."""
        last = {one.key: str(one) for one in self.values}
        return shlex.join([*last.values(), *(f"{name}={value}" for name, value in self.positions.given.items())])


NOTHING: Final = Overrides()


class _Overlay(Mapping[str, object]):
    """Metadata with other values."""

    def __init__(self, below: Mapping[str, object], values: Mapping[str, object]) -> None:
        self._below, self._values = below, values

    def __getitem__(self, key: str) -> object:
        return self._values[key] if key in self._values else self._below[key]

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._below, *self._values)))

    def __len__(self) -> int:
        return len({*self._below, *self._values})

    def __contains__(self, key: object) -> bool:
        return key in self._values or key in self._below


def _check_not_array(key: str, metadata: Mapping[str, object]) -> None:
    if key in NO_OVERRIDE:
        raise _refused(key, "says where the file's tensors are, and cannot be overridden")
    if key.startswith(TOKENIZER) and key in metadata and not isinstance(metadata[key], int | float | str):
        raise _refused(key, "is an array in the file, and an override is one value")


def _check(key: str, value: object, metadata: Mapping[str, object], own: Mapping[str, object]) -> None:
    """Raises UsageError for a key that nobody reads."""
    if key in OTHERS or (key.startswith(TOKENIZER) and key.count(".") >= 1):
        found = own.get(key, value)
        if isinstance(found, int | float) != isinstance(value, int | float):
            raise _refused(key, f"is {shown(found)} in the file, and {shown(value)} is of another type")
        return
    name, family = family_of(metadata)
    own_key = key.removeprefix(f"{name}.")
    if own_key == key:
        raise _refused(key, f"means nothing for this model, whose keys begin with {name}. or tokenizer.")
    if own_key in family.without_effect:
        raise _refused(key, f"changes nothing for {name}: {family.without_effect[own_key]}")
    if own_key not in keys_read(family.params):
        raise _refused(key, f"means nothing for {name}: this architecture reads no such key")


def _refused(key: str, why: str) -> UsageError:
    return UsageError(f"{shown(key)} {why}", settings=("override_kv",))
