"""Keywords that llguidance does not know, said in those that it knows: each becomes a schema that holds as well.

Exactly, never approximately: what cannot be said so is refused (NotEnforced). Alternatives may overlap.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

from llamachat.engine.grammar.schema_evaluated import Evaluated
from llamachat.engine.grammar.schema_opposite import NotEnforced, Opposite, all_of, any_of, other_types
from llamachat.engine.grammar.schema_walk import Json

MOST_PLACES = 200
"""Ways in which items may be spread over an array."""

MOST_ARRAYS = 500
"""Arrays of different values that are written out."""

Resolve = Callable[[str], Json]


@dataclass(frozen=True)
class Rewrite:
    """How keywords are rewritten. target: the schema that a `$ref` leads to."""

    target: Resolve

    def of(self, keyword: str, value: Any, schema: dict[str, Json]) -> Json:
        """The schema that says what a keyword of `schema` says; True for what says nothing. Raises NotEnforced."""
        return REWRITTEN[keyword](self, value, schema)

    @property
    def _opposite(self) -> Opposite:
        return Opposite(self.target)

    def _ignored(self, _value: Any, _schema: dict[str, Json]) -> Json:
        return True

    def _not(self, value: Any, _schema: dict[str, Json]) -> Json:
        return self._opposite.of(value)

    def _if(self, value: Any, schema: dict[str, Json]) -> Json:
        then, otherwise = schema.get("then", True), schema.get("else", True)
        if then is True and otherwise is True:
            return True
        opposite = self._opposite.of(value)
        if otherwise is True:
            return any_of([opposite, then])
        if then is True:
            return any_of([value, otherwise])
        return any_of([all_of(value, then), all_of(opposite, otherwise)])

    def one_of(self, value: list[Json]) -> Json:
        """One, and none of the others."""
        opposites = {i: self._opposite.of(one) for i, one in enumerate(value)} if len(value) > 1 else {}
        return any_of(
            all_of(one, *(opposite for j, opposite in opposites.items() if j != i)) for i, one in enumerate(value)
        )

    def _dependent(self, value: Any, _schema: dict[str, Json]) -> Json:
        """With one of these names there must be what belongs to it."""
        if not isinstance(value, dict):
            raise NotEnforced("must be an object")
        return all_of(
            *(
                any_of([{"properties": {name: False}}, {"required": one} if isinstance(one, list) else one])
                for name, one in value.items()
                if one not in ([], True)
            )
        )

    def _names(self, value: Any, _schema: dict[str, Json]) -> Json:
        """What the names of properties must be."""
        if value is True or value == {}:
            return True
        if value is False:
            return {"maxProperties": 0}
        if not isinstance(value, dict):
            raise NotEnforced("must be a schema")
        asserted = {key: one for key, one in value.items() if key not in ("title", "description", "$comment")}
        texts = asserted.get("enum", [asserted["const"]] if "const" in asserted else None)
        if texts is not None and asserted.keys() <= {"const", "enum", "type"}:
            known = [text for text in texts if isinstance(text, str)]
            return {"properties": dict.fromkeys(known, True), "additionalProperties": False}
        if asserted.get("type", "string") != "string" or not asserted.keys() <= {
            "type",
            "pattern",
            "minLength",
            "maxLength",
        }:
            raise NotEnforced("is supported with const, enum, or a pattern or lengths")
        return self._named_by(asserted)

    def _named_by(self, names: dict[str, Json]) -> Json:
        pattern = names.get("pattern")
        lengths = {"minLength", "maxLength"} & names.keys()
        if pattern is not None and lengths:
            raise NotEnforced("with a pattern and a length is not supported")
        if pattern is None:
            pattern = rf"^[\s\S]{{{names.get('minLength', 0)},{names.get('maxLength', '')}}}$" if lengths else ""
        return {"patternProperties": {pattern: True}, "additionalProperties": False}

    def _contains(self, value: Any, schema: dict[str, Json]) -> Json:
        """From minContains to maxContains items are as it says."""
        least, most = schema.get("minContains", 1), schema.get("maxContains")
        if (least == 0 and most is None) or (least == 0 and value is False):
            return True
        if (most is not None and most < least) or value is False:
            return other_types("array")
        if value is True or value == {}:
            return {"minItems": least, **({} if most is None else {"maxItems": most})}
        if most == 0:
            return {"items": self._opposite.of(value)}
        longest = _longest(schema)
        if longest is None:
            raise NotEnforced("without maxItems is not supported: an array of any length cannot be looked through")
        places = [
            some for n in range(int(least), int(longest if most is None else most) + 1) for some in _spread(longest, n)
        ]
        if not places:  # the array is too short
            return other_types("array")
        if len(places) > MOST_PLACES:
            raise NotEnforced("has too many ways to be spread over the array: give a smaller maxItems")
        rest = True if most is None else self._opposite.of(value)
        return any_of(_at(some, value, rest) for some in places)

    def _unique(self, value: Any, schema: dict[str, Json]) -> Json:
        """No two items are the same."""
        longest = _longest(schema)
        if value is False or (longest is not None and longest < 2):
            return True
        if value is not True:
            raise NotEnforced("must be true or false")
        first = schema.get("prefixItems", [])
        n_values = _values(schema.get("items", True), self.target)
        longest = min(longest or 64, len(first) + (len(n_values) if n_values is not None else 64))
        columns = [
            _values(first[i] if i < len(first) else schema.get("items", True), self.target) for i in range(longest)
        ]
        arrays = [] if None in columns else list(_different([one for one in columns if one is not None]))
        if not arrays:
            raise NotEnforced("is supported only where the items have few values (enum, const, boolean)")
        return any_of([other_types("array"), {"enum": arrays}])

    def _unevaluated(self, value: Any, schema: dict[str, Json], items: bool) -> Json:
        if value is True or value == {}:
            return True
        keyword = "unevaluatedItems" if items else "unevaluatedProperties"
        rest = {key: one for key, one in schema.items() if key != keyword}
        return any_of(Evaluated(self.target, self._opposite, items).alternatives(rest, value))


def _longest(schema: dict[str, Json]) -> int | None:
    """The most items that an array may have; None for any number."""
    first = schema.get("prefixItems", [])
    limits = [schema["maxItems"]] if "maxItems" in schema else []
    limits += [len(first)] if schema.get("items") is False and isinstance(first, list) else []
    found = min(limits, default=None)
    return None if found is None or found > 64 else int(found)


def _spread(length: int, n: int) -> Iterator[tuple[int, ...]]:
    """The first places of an array."""
    return combinations(range(length), n)


def _at(places: tuple[int, ...], value: Json, rest: Json) -> Json:
    """Arrays that have a value at these places, and the rest elsewhere."""
    n = places[-1] + 1 if places else 0
    found: dict[str, Json] = {"prefixItems": [value if i in places else rest for i in range(n)], "minItems": n}
    if not n:
        del found["prefixItems"], found["minItems"]
    return {**found, "items": rest} if rest is not True else found


def _values(schema: Json, target: Resolve) -> list[Any] | None:
    """The values of a schema, all of them, where they are few."""
    if isinstance(schema, dict) and "$ref" in schema and len(schema) == 1:
        schema = target(schema["$ref"])
    if not isinstance(schema, dict):
        return None if schema else []
    known = {key for key in schema if key not in ("title", "description", "$comment", "type")}
    if known == {"enum"} and "type" not in schema:
        return list(schema["enum"])
    if known == {"const"} and "type" not in schema:
        return [schema["const"]]
    if known == {"enum"} and schema["type"] == "string" and all(isinstance(one, str) for one in schema["enum"]):
        return list(schema["enum"])
    few: dict[str, list[Any]] = {} if known else {"boolean": [True, False], "null": [None]}
    return few.get(str(schema.get("type")))


def _different(columns: list[list[Any]]) -> Iterator[list[Any]]:
    """Arrays of up to this many items, no two of which are the same."""
    n_found = 0
    for length in range(len(columns) + 1):
        for row in product(*columns[:length]):
            n_found += 1
            if n_found > 20 * MOST_ARRAYS:
                raise NotEnforced("has too many arrays to be written out: give fewer values or a smaller maxItems")
            if len({json.dumps(_plain(one), sort_keys=True) for one in row}) == length:
                yield list(row)


def _plain(value: Any) -> Any:
    """1.0 is 1."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


REWRITTEN: dict[str, Callable[[Rewrite, Any, dict[str, Json]], Json]] = {
    "not": Rewrite._not,
    "if": Rewrite._if,
    "then": Rewrite._ignored,
    "else": Rewrite._ignored,
    "dependentRequired": Rewrite._dependent,
    "dependentSchemas": Rewrite._dependent,
    "dependencies": Rewrite._dependent,
    "propertyNames": Rewrite._names,
    "contains": Rewrite._contains,
    "minContains": Rewrite._ignored,
    "maxContains": Rewrite._ignored,
    "uniqueItems": Rewrite._unique,
    "unevaluatedItems": lambda self, value, schema: self._unevaluated(value, schema, True),
    "unevaluatedProperties": lambda self, value, schema: self._unevaluated(value, schema, False),
}
"""Keywords that are rewritten. `then`, `else` and the numbers of `contains` are looked at with what they belong to."""
