"""What lies where in a conversation that a template is given: which keys and words steer it, and what is a text.

A key is looked up by a template, or by a name within the data (`name in parameters.required`); a value is printed, or
compared. Names that people choose (properties, arguments) are texts wherever they stand: as keys and as values.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_WORDS = """
system user assistant tool developer function ipython observation tools tool_response documents model environment
context text image image_url video video_url audio audio_url input_text output_text input_audio document thinking
string number integer boolean array object null any
"""
WORDS = frozenset(_WORDS.split())
"""Roles and types: they steer templates and spell no control token."""


@dataclass(frozen=True)
class Place:
    """What the entries of a mapping are. known: keys that stay as they are, and what lies there.

    named_keys: other keys that the template names stay, too; without it all others are texts. others: what lies there.
    """

    known: Mapping[str, "str"] = field(default_factory=dict)
    named_keys: bool = True
    others: str = "loose"


SCHEMAS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
SCHEMA = ("items", "prefixItems", "additionalProperties", "anyOf", "oneOf", "allOf", "not", "if", "then", "else")
DATA = ("required", "enum", "const", "default", "examples", "dependentRequired")
LOOSE = ("description", "title", "format", "pattern", "nullable", "$ref", "return", "returns", "response", "strict")
SPECIFIED = {"type": "word", "name": "loose", "description": "loose", "parameters": "schema", "function": "tool"}
CALL = {"type": "word", "id": "loose", "name": "loose", "function": "call", "arguments": "data", "parameters": "data"}
MESSAGE = {"role": "word", "content": "part", "tool_calls": "call", "tool_call_id": "loose", "name": "loose"}

PARTS = {"messages": "message", "tools": "tool"}
"""What the parts of a conversation are; all others are texts."""

PLACES: dict[str, Place] = {
    "message": Place(MESSAGE),
    "part": Place({"type": "word", "text": "loose"}),
    "call": Place(CALL),
    "tool": Place(SPECIFIED),
    "schema": Place(
        {
            "type": "word",
            **dict.fromkeys(SCHEMAS, "schemas"),
            **dict.fromkeys(SCHEMA, "schema"),
            **dict.fromkeys(DATA, "data"),
            **dict.fromkeys(LOOSE, "loose"),
        }
    ),
    "schemas": Place(named_keys=False, others="schema"),
    "data": Place(named_keys=False, others="data"),
    "loose": Place(),
    "word": Place(),
}
"""The places by name; lists are what their entries are."""


@dataclass(frozen=True)
class Rewriting:
    """A conversation with its texts rewritten. text: what becomes of one; names: what the template names."""

    text: Callable[[str], str]
    names: frozenset[str]

    def parts(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Variables of a template with their texts rewritten."""
        return {name: self.of(value, PARTS.get(name, "loose")) for name, value in given.items()}

    def of(self, value: Any, place: str) -> Any:
        """The value with its texts rewritten, as what lies at a place."""
        if isinstance(value, str):
            return value if place == "word" and value in WORDS else self.text(value)
        if isinstance(value, Mapping):
            return {self._key(key, place): self.of(item, _place_of(key, place)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(item, place) for item in value]
        return value

    def _key(self, key: Any, place: str) -> Any:
        here = PLACES[place]
        kept = not isinstance(key, str) or key in here.known or (here.named_keys and key in self.names)
        return key if kept else self.text(key)


def texts_of(given: Mapping[str, Any], names: frozenset[str]) -> list[str]:
    """Every text of a template's variables, keys included, that a rewriting would rewrite."""
    found: list[str] = []

    def noted(text: str) -> str:
        found.append(text)
        return text

    Rewriting(noted, names).parts(given)
    return found


def _place_of(key: Any, place: str) -> str:
    here = PLACES[place]
    return here.known.get(key, here.others) if isinstance(key, str) else here.others
