"""`unevaluatedProperties` and `unevaluatedItems`: what the schemas about the same value have looked at already.

Which of them have depends on which of anyOf, oneOf and if/then/else the value satisfies; so each combination of those
is an alternative, with the names (or the number of first items) that are evaluated in it. Where more is satisfied than
an alternative says, more is evaluated, so the alternatives together are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from llamachat.engine.grammar.schema_opposite import NotEnforced, Opposite, all_of
from llamachat.engine.grammar.schema_walk import Json

MOST_ALTERNATIVES = 64


@dataclass(frozen=True)
class Seen:
    """One alternative: what must hold for it, and what is evaluated then."""

    holds: tuple[Json, ...] = ()
    names: frozenset[str] = field(default_factory=frozenset)
    patterns: frozenset[str] = field(default_factory=frozenset)
    n_items: int = 0
    everything: bool = False

    def and_(self, other: Seen) -> Seen:
        """Both."""
        return Seen(
            (*self.holds, *other.holds),
            self.names | other.names,
            self.patterns | other.patterns,
            max(self.n_items, other.n_items),
            self.everything or other.everything,
        )


class Evaluated:
    """Follows the schemas about one value. items: of arrays, else properties of objects."""

    def __init__(self, target: Callable[[str], Json], opposite: Opposite, items: bool) -> None:
        self._target, self._opposite, self._items = target, opposite, items

    def alternatives(self, schema: dict[str, Json], rest: Json) -> Iterator[Json]:
        """Schemas of which one must hold beside `schema`, so that what is not evaluated is as `rest` says."""
        for seen in self._of(schema, ()):
            if seen.everything:
                yield all_of(*seen.holds)
            elif self._items:
                first = {"prefixItems": [True] * seen.n_items} if seen.n_items else {}
                yield all_of(*seen.holds, {**first, "items": rest})
            else:
                named = {"properties": dict.fromkeys(sorted(seen.names), True)} if seen.names else {}
                matched = {"patternProperties": dict.fromkeys(sorted(seen.patterns), True)} if seen.patterns else {}
                yield all_of(*seen.holds, {**named, **matched, "additionalProperties": rest})

    def _of(self, schema: Json, path: tuple[str, ...]) -> list[Seen]:
        if not isinstance(schema, dict):
            return [Seen()]
        found = [self._own_items(schema) if self._items else self._own_properties(schema)]
        for keyword, value in schema.items():
            for more in self._in_place(keyword, value, schema, path):
                found = [one.and_(other) for one in found for other in more]
                if len(found) > MOST_ALTERNATIVES:
                    raise NotEnforced("depends on too many alternatives")
        return found

    def _own_items(self, schema: dict[str, Json]) -> Seen:
        if "contains" in schema:
            raise NotEnforced("beside contains is not supported")
        first = schema.get("prefixItems", [])
        return Seen(n_items=len(first), everything="items" in schema or "unevaluatedItems" in schema)

    def _own_properties(self, schema: dict[str, Json]) -> Seen:
        return Seen(
            names=frozenset(schema.get("properties", ())),
            patterns=frozenset(schema.get("patternProperties", ())),
            everything="additionalProperties" in schema or "unevaluatedProperties" in schema,
        )

    def _in_place(
        self, keyword: str, value: Any, schema: dict[str, Json], path: tuple[str, ...]
    ) -> Iterator[list[Seen]]:
        """For each thing that a keyword says about the same value, its alternatives."""
        match keyword:
            case "$ref":
                if value not in path:
                    yield self._of(self._target(value), (*path, value))
            case "allOf":
                yield from (self._of(one, path) for one in value)
            case "anyOf":
                some = [part for n in range(1, len(value) + 1) for part in combinations(value, n)]
                if len(some) > MOST_ALTERNATIVES:
                    raise NotEnforced("beside anyOf of this many is not supported")
                yield [seen for part in some for seen in self._held(part, path)]
            case "oneOf":
                yield [seen for one in value for seen in self._held((one,), path)]
            case "if":
                then = self._held((value,), path, schema.get("then", True))
                yield [*then, *self._held((self._opposite.of(value),), path, schema.get("else", True), own=False)]
            case "dependentSchemas":
                for name, one in value.items():
                    with_it = {"type": "object", "required": [name]}
                    yield [Seen(({"properties": {name: False}},)), *self._held((with_it,), path, one)]

    def _held(
        self, parts: tuple[Json, ...], path: tuple[str, ...], then: Json = True, *, own: bool = True
    ) -> list[Seen]:
        """The alternatives of schemas that must hold, and of one that holds then. own: they themselves evaluate."""
        found = [Seen(parts)]
        for one in (*(parts if own else ()), then):
            found = [seen.and_(other) for seen in found for other in self._of(one, path)]
            if len(found) > MOST_ALTERNATIVES:
                raise NotEnforced("depends on too many alternatives")
        return found
