"""Where schemas stand in a schema: the keywords that hold one, several, or some by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Json = Any
"""What `json.loads` returns."""

ONE = frozenset(
    ("additionalItems", "additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then",
     "unevaluatedItems", "unevaluatedProperties")
)  # fmt: skip
MANY = frozenset(("allOf", "anyOf", "items", "oneOf", "prefixItems"))
"""`items` may be a list (before 2020-12)."""

NAMED = frozenset(("$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties"))

Visit = Callable[[Json, str], Json]


def child_pointer(pointer: str, key: str) -> str:
    """The pointer one step below."""
    return f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"


def with_subschemas(schema: dict[str, Json], pointer: str, visit: Visit) -> dict[str, Json]:
    """A copy of a schema in which each schema directly below is what `visit(it, its pointer)` makes of it."""
    return {
        keyword: _below(keyword, value, child_pointer(pointer, keyword), visit) for keyword, value in schema.items()
    }


def _below(keyword: str, value: Any, pointer: str, visit: Visit) -> Json:
    if keyword in MANY and isinstance(value, list):
        return [visit(one, child_pointer(pointer, str(i))) for i, one in enumerate(value)]
    if keyword in ONE and isinstance(value, dict | bool):
        return visit(value, pointer)
    if keyword in NAMED and isinstance(value, dict):
        return {
            name: visit(one, child_pointer(pointer, name)) if isinstance(one, dict | bool) else one
            for name, one in value.items()
        }
    return value


def subschemas(schema: dict[str, Json]) -> Iterator[Json]:
    """The schemas directly below one."""
    found: list[Json] = []

    def note(one: Json, _pointer: str) -> Json:
        found.append(one)
        return one

    with_subschemas(schema, "", note)
    return iter(found)
