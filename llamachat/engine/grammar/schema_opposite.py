"""The opposite of a schema, as a schema: what `not`, `else` and `oneOf` need, as far as a grammar can say it.

The opposite of several keywords is the opposite of one of them. Most keywords are about one type of values, and every
value of another type satisfies them: the opposite has that type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from llamachat.engine.grammar.schema_walk import Json

MOST_STEPS = 3_000
LONGEST_TEXTS = 400
"""Characters of constants that a text may not be."""

OTHERS = ("null", "boolean", "number", "string", "array", "object")
IGNORED = frozenset(
    ("$schema", "$comment", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly",
     "contentMediaType", "contentEncoding", "contentSchema", "$defs", "definitions", "then", "else", "minContains",
     "maxContains")
)  # fmt: skip
"""Keywords that say nothing by themselves."""


class NotEnforced(ValueError):
    """A grammar cannot say this."""


def all_of(*schemas: Json) -> Json:
    """What satisfies all of them."""
    kept = [one for one in schemas if one is not True and one != {}]
    if any(one is False for one in kept):
        return False
    return True if not kept else kept[0] if len(kept) == 1 else {"allOf": kept}


def any_of(schemas: Iterable[Json]) -> Json:
    """What satisfies one of them."""
    kept = [one for one in schemas if one is not False]
    if any(one is True or one == {} for one in kept):
        return True
    return False if not kept else kept[0] if len(kept) == 1 else {"anyOf": kept}


def other_types(*names: str) -> Json:
    """Values of all other types than these."""
    return {"type": [one for one in OTHERS if one not in names]}


class Opposite:
    """Makes opposites. target: the schema that a `$ref` leads to."""

    def __init__(self, target: Callable[[str], Json]) -> None:
        self._target = target
        self._n_steps = 0

    def of(self, schema: Json) -> Json:
        """The opposite. Raises NotEnforced where there is none that a grammar can say."""
        self._n_steps += 1
        if self._n_steps > MOST_STEPS:
            raise NotEnforced("it takes too many steps to find the opposite of a schema here")
        if not isinstance(schema, dict):
            return not schema
        return any_of(
            self._keyword(keyword, value, schema) for keyword, value in schema.items() if keyword not in IGNORED
        )

    def _keyword(self, keyword: str, value: Any, schema: dict[str, Json]) -> Json:
        special = _SPECIAL.get(keyword)
        if special is not None:
            return special(self, value, schema)
        plain = _PLAIN.get(keyword)
        if plain is None or (isinstance(value, bool) and keyword != "uniqueItems"):
            raise NotEnforced(f"the opposite of {keyword!r:.40} cannot be enforced")
        return plain(value)

    def _all(self, value: Any, _schema: Json) -> Json:
        return any_of(map(self.of, value))

    def _any(self, value: Any, _schema: Json) -> Json:
        return all_of(*map(self.of, value))

    def _one(self, value: Any, _schema: Json) -> Json:
        none = all_of(*map(self.of, value))
        pairs = [all_of(one, other) for i, one in enumerate(value) for other in value[:i]]
        return any_of([none, *pairs])

    def _not(self, value: Any, _schema: Json) -> Json:
        return value

    def _if(self, value: Any, schema: dict[str, Json]) -> Json:
        first = all_of(value, self.of(schema.get("then", True)))
        return any_of([first, all_of(self.of(value), self.of(schema.get("else", True)))])

    def _reference(self, value: Any, _schema: Json) -> Json:
        return self.of(self._target(value))

    def _properties(self, value: Any, _schema: Json) -> Json:
        return any_of(
            {"type": "object", "required": [name], "properties": {name: opposite}}
            for name, one in value.items()
            if (opposite := self.of(one)) is not False
        )

    def _prefix(self, value: Any, _schema: Json) -> Json:
        return any_of(
            {"type": "array", "minItems": i + 1, "prefixItems": [*[True] * i, opposite]}
            for i, one in enumerate(value)
            if (opposite := self.of(one)) is not False
        )

    def _items(self, value: Any, schema: dict[str, Json]) -> Json:
        if isinstance(value, list):
            return self._prefix(value, schema)
        first, most = len(schema.get("prefixItems", ())), schema.get("maxItems")
        if value is False:
            return {"type": "array", "minItems": first + 1}
        opposite = self.of(value)
        if opposite is False:
            return False
        if not isinstance(most, int) or most > 20:
            raise NotEnforced("the opposite of 'items' without a small maxItems cannot be enforced")
        options = [
            {"type": "array", "minItems": i + 1, "prefixItems": [*[True] * i, opposite]} for i in range(first, most)
        ]
        return any_of(options)

    def _additional(self, value: Any, schema: dict[str, Json]) -> Json:
        opposite = self.of(value)
        if opposite is False:
            return False
        if opposite is True and not schema.get("properties") and not schema.get("patternProperties"):
            return {"type": "object", "minProperties": 1}
        raise NotEnforced("the opposite of 'additionalProperties' cannot be enforced")

    def _dependent(self, value: Any, _schema: Json) -> Json:
        return any_of(
            all_of({"type": "object", "required": [name]}, self.of({"required": one} if isinstance(one, list) else one))
            for name, one in value.items()
        )

    def _contains(self, value: Any, schema: dict[str, Json]) -> Json:
        least, most = schema.get("minContains", 1), schema.get("maxContains")
        if least == 1 and most is None:
            return {"type": "array", "items": self.of(value)}
        raise NotEnforced("the opposite of 'contains' with minContains or maxContains cannot be enforced")

    def _constant(self, value: Any, _schema: Json) -> Json:
        return self._none_of([value])

    def _enum(self, value: Any, _schema: Json) -> Json:
        return self._none_of(value)

    def _none_of(self, values: list[Any]) -> Json:
        """All values but these."""
        kinds = {_kind(one) for one in values}
        options = [other_types(*kinds)]
        if "boolean" in kinds:
            options += [{"const": one} for one in (False, True) if not any(one is other for other in values)]
        if "number" in kinds:
            numbers = sorted({one for one in values if _kind(one) == "number"})
            bounds = zip([None, *numbers], [*numbers, None], strict=True)
            options += [_between(low, high) for low, high in bounds]
        if "string" in kinds:
            options.append(
                {"type": "string", "pattern": f"^(?:{_none_of_texts([o for o in values if isinstance(o, str)])})$"}
            )
        for kind in ("array", "object"):
            some = [self._other_composite(one) for one in values if _kind(one) == kind]
            options += [all_of(*some)] if some else []
        return any_of(options)

    def _other_composite(self, value: Any) -> Json:
        """Arrays, or objects, that are not this one."""
        if isinstance(value, list):
            n = len(value)
            return any_of(
                [
                    {"type": "array", "minItems": n + 1},
                    {"type": "array", "maxItems": n - 1} if n else False,
                    self._prefix([{"const": one} for one in value], {}),
                ]
            )
        if value:
            raise NotEnforced("the opposite of an object that is not empty cannot be enforced")
        return {"type": "object", "minProperties": 1}


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "array" if isinstance(value, list) else "object"


def _between(low: float | None, high: float | None) -> Json:
    found: dict[str, Json] = {"type": "number"}
    if low is not None:
        found["exclusiveMinimum"] = low
    if high is not None:
        found["exclusiveMaximum"] = high
    return found


def _none_of_texts(texts: list[str]) -> str:
    """A pattern of ECMA-262 for every text but these."""
    if sum(map(len, texts)) > LONGEST_TEXTS or max(map(len, texts)) > LONGEST_TEXTS // 8:
        raise NotEnforced("the opposite of texts as long as these cannot be enforced")
    if not texts:
        return r"[\s\S]*"
    rests: dict[str, list[str]] = {}
    for text in texts:
        if text:
            rests.setdefault(text[0], []).append(text[1:])
    ends = [""] if "" not in texts else []
    if not rests:
        return r"[\s\S]+"
    firsts = "".join(map(_escaped, rests))
    ways = [rf"[^{firsts}][\s\S]*", *(f"{_escaped(c)}(?:{_none_of_texts(some)})" for c, some in rests.items())]
    return "|".join([*ends, *ways])


def _escaped(character: str) -> str:
    return f"\\u{{{ord(character):x}}}"


def _other_type(value: Any) -> Json:
    names = value if isinstance(value, list) else [value]
    if not {"integer", *OTHERS}.issuperset(names):
        raise NotEnforced(f"there is no type {value!r:.40}")
    if "integer" in names and "number" not in names:
        raise NotEnforced("numbers that are not whole cannot be enforced (the opposite of the type integer)")
    return other_types(*names)


_PLAIN: dict[str, Callable[[Any], Json]] = {
    "type": _other_type,
    "required": lambda names: any_of({"type": "object", "properties": {name: False}} for name in names),
    "minimum": lambda n: {"type": "number", "exclusiveMaximum": n},
    "maximum": lambda n: {"type": "number", "exclusiveMinimum": n},
    "exclusiveMinimum": lambda n: {"type": "number", "maximum": n},
    "exclusiveMaximum": lambda n: {"type": "number", "minimum": n},
    "minLength": lambda n: {"type": "string", "maxLength": n - 1} if n else False,
    "maxLength": lambda n: {"type": "string", "minLength": n + 1},
    "minItems": lambda n: {"type": "array", "maxItems": n - 1} if n else False,
    "maxItems": lambda n: {"type": "array", "minItems": n + 1},
    "minProperties": lambda n: {"type": "object", "maxProperties": n - 1} if n else False,
    "maxProperties": lambda n: {"type": "object", "minProperties": n + 1},
}
_SPECIAL: dict[str, Callable[[Opposite, Any, dict[str, Json]], Json]] = {
    "allOf": Opposite._all,
    "anyOf": Opposite._any,
    "oneOf": Opposite._one,
    "not": Opposite._not,
    "if": Opposite._if,
    "$ref": Opposite._reference,
    "properties": Opposite._properties,
    "prefixItems": Opposite._prefix,
    "items": Opposite._items,
    "additionalProperties": Opposite._additional,
    "dependentRequired": Opposite._dependent,
    "dependentSchemas": Opposite._dependent,
    "dependencies": Opposite._dependent,
    "contains": Opposite._contains,
    "const": Opposite._constant,
    "enum": Opposite._enum,
}
