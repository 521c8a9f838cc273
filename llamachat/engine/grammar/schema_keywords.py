"""The keywords of JSON schema that are enforced, what their values may be, and where subschemas stand in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from math import lcm
from typing import Any, NoReturn

from llamachat.engine.grammar.schema_formats import FORMATS
from llamachat.engine.grammar.schema_patterns import PatternError, rust_pattern
from llamachat.engine.grammar.schema_walk import Json, child_pointer

ANNOTATIONS = frozenset(
    (
        "$schema",
        "$comment",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "contentMediaType",
        "contentEncoding",
        "contentSchema",
    )
)
"""Keywords that say nothing about which values are valid."""

TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
LARGEST_NUMBER = 2**53
MOST_DIGITS = 15
SMALLEST_DECIMAL = -22
"""llguidance reads decimals of up to this many digits and places without an error: 10^22 is exact in float64."""

LARGEST_STEP = 10_000
LARGEST_SHORT_STEP = 100
"""The least common multiple of all `multipleOf` up to which the automaton of remainders is built in a second.

With more zeros at its end it may be as large as it likes while the rest of it is short; not in combinations, where
llguidance multiplies two of them in 32 bits. 1000003 took 32 s, and was deaf to Ctrl+C.
"""

DEEPEST_CONSTANT = 64
UNWRITABLE = re.compile(r"[\x00-\x07\x0b\x0e-\x1f\x7f\ud800-\udfff]")
"""Characters that need \\u in JSON, and the one that llguidance takes for such."""

LARGEST_LENGTH = 100_000
LARGEST_COUNT = 1_000

APPLICATORS = ("allOf", "anyOf", "oneOf", "$ref")
Refuse = Callable[[str, str], NoReturn]


@dataclass(frozen=True)
class Place:
    """One subschema: its pointer, itself, whether it is intersected with others, and how to complain.

    steps, bounds: every `multipleOf`, and every bound of a number with whether it is itself excluded and whole, of the
    whole schema, as far as it was looked at.
    """

    pointer: str
    schema: dict[str, Json]
    combined: bool
    complain: Refuse
    steps: set[Decimal] = field(default_factory=set)
    bounds: set[tuple[float, bool]] = field(default_factory=set)

    @property
    def has_applicator(self) -> bool:
        """Whether other schemas are about the same value, from above or in this one."""
        return self.combined or any(key in self.schema for key in APPLICATORS)

    def refuse(self, keyword: str, message: str) -> NoReturn:
        """Raises UsageError about one keyword of this subschema."""
        self.complain(child_pointer(self.pointer, keyword), f"{keyword} {message}")


Check = Callable[[str, Any, Place], None]


def check_keyword(keyword: str, value: Json, place: Place) -> None:
    """Raises UsageError where a keyword's value is malformed, or is one that is not enforced exactly."""
    KEYWORDS[keyword](keyword, value, place)


def _number(keyword: str, value: Any, place: Place) -> None:
    if isinstance(value, bool):
        place.refuse(keyword, "as true or false is the form of draft 4: give the number itself")
    if not isinstance(value, int | float):
        place.refuse(keyword, "must be a number")
    _exact(keyword, value, place)


def _exact(keyword: str, value: float, place: Place) -> None:
    if abs(value) > LARGEST_NUMBER:
        place.refuse(keyword, f"has a number beyond 2^53, up to which numbers are enforced exactly: {value!r:.60}")
    if isinstance(value, float):
        number = Decimal(repr(value)).normalize().as_tuple()
        if len(number.digits) > MOST_DIGITS or int(number.exponent) < SMALLEST_DECIMAL:
            limits = f"{MOST_DIGITS} digits or {-SMALLEST_DECIMAL} decimal places"
            place.refuse(keyword, f"has a number of more than {limits}, which is not enforced exactly: {value!r}")


def _bound(keyword: str, value: Any, place: Place) -> None:
    """llguidance admits a whole number as its own exclusive bound where another bound is less than 1 away."""
    _number(keyword, value, place)
    if place.schema.get("type") == "integer" and not place.combined:
        return
    excluded = keyword.startswith("exclusive") and value == int(value)
    near = [other for other in place.bounds if 0 < abs(other[0] - value) < 1]
    if any(excluded or other_excluded for _, other_excluded in near):
        place.refuse(keyword, "with another bound of the schema less than 1 away is not enforced exactly")
    place.bounds.add((value, excluded))


def _multiple(keyword: str, value: Any, place: Place) -> None:
    _number(keyword, value, place)
    if value <= 0:
        place.refuse(keyword, "must be above 0")
    place.steps.add(Decimal(repr(value)).normalize())
    step = _common_multiple(place.steps)
    is_short = int(str(step).rstrip("0")) <= LARGEST_SHORT_STEP and not place.has_applicator
    if step > LARGEST_STEP and not is_short:
        place.refuse(keyword, f"is supported up to {LARGEST_STEP} (all of a schema: their common multiple), not {step}")


def _common_multiple(steps: set[Decimal]) -> int:
    """The least common multiple, in units of the last decimal place that one of them has."""
    places = max(0, *(-int(step.as_tuple().exponent) for step in steps))
    return lcm(*(int(step.scaleb(places)) for step in steps))


def _up_to(most: int) -> Check:
    def check(keyword: str, value: Any, place: Place) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != value // 1:
            place.refuse(keyword, "must be a whole number, 0 or more")
        if value > most:
            place.refuse(keyword, f"is supported up to {most}")

    return check


def _min_properties(keyword: str, value: Any, place: Place) -> None:
    _up_to(LARGEST_COUNT)(keyword, value, place)
    if value > 1:
        place.refuse(keyword, "above 1 is not supported: a name may come twice, which counts once")


def _pattern(keyword: str, value: Any, place: Place) -> None:
    if not isinstance(value, str):
        place.refuse(keyword, "must be a regular expression")
    _rust(keyword, value, place)


def _rust(keyword: str, pattern: str, place: Place) -> str:
    try:
        return rust_pattern(pattern)
    except PatternError as error:
        place.refuse(keyword, str(error))


def _format(keyword: str, value: Any, place: Place) -> None:
    if value not in FORMATS:
        place.refuse(keyword, f"{value!r:.60} is not supported; supported are {', '.join(FORMATS)}")


def _type(keyword: str, value: Any, place: Place) -> None:
    names = value if isinstance(value, list) else [value]
    if not names or any(name not in TYPES for name in names):
        place.refuse(keyword, f"must be one or more of {', '.join(TYPES)}")


def _reference(keyword: str, value: Any, place: Place) -> None:
    if not isinstance(value, str):
        place.refuse(keyword, "must be a text")


def _schema(keyword: str, value: Any, place: Place) -> None:
    if not isinstance(value, dict | bool):
        place.refuse(keyword, "must be a schema")


def _schemas(keyword: str, value: Any, place: Place) -> None:
    if not isinstance(value, list) or not value:
        place.refuse(keyword, "must be a list of schemas, not empty")


def _named_schemas(keyword: str, value: Any, place: Place) -> None:
    if not isinstance(value, dict):
        place.refuse(keyword, "must be an object of schemas")


def _pattern_properties(keyword: str, value: Any, place: Place) -> None:
    _named_schemas(keyword, value, place)
    if len({_rust(keyword, pattern, place) for pattern in value}) < len(value):
        place.refuse(keyword, "has one pattern written in two ways")


def _items(keyword: str, value: Any, place: Place) -> None:
    if isinstance(value, list):
        _schemas(keyword, value, place)
        if "prefixItems" in place.schema:
            place.refuse(keyword, "as a list is the older form of prefixItems: give one of them")
    else:
        _schema(keyword, value, place)


def _additional_items(keyword: str, value: Any, place: Place) -> None:
    _schema(keyword, value, place)
    if not isinstance(place.schema.get("items"), list):
        place.refuse(keyword, "means something only beside a list of items")


def _required(keyword: str, value: Any, place: Place) -> None:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        place.refuse(keyword, "must be a list of names")
    _writable(keyword, value, place)


def _properties(keyword: str, value: Any, place: Place) -> None:
    _named_schemas(keyword, value, place)
    _writable(keyword, value, place)


def _lists_of_names(keyword: str, value: Any, place: Place) -> None:
    if not isinstance(value, dict):
        place.refuse(keyword, "must be an object of lists of names")
    for names in value.values():
        _required(keyword, names, place)


def _yes_or_no(keyword: str, value: Any, place: Place) -> None:
    if not isinstance(value, bool):
        place.refuse(keyword, "must be true or false")


def _constant(keyword: str, value: Any, place: Place) -> None:
    pending = [(value, 0)]
    while pending:
        one, depth = pending.pop()
        if depth > DEEPEST_CONSTANT:
            place.refuse(keyword, f"has a value that nests deeper than {DEEPEST_CONSTANT}")
        if isinstance(one, dict | list):
            pending += [(inner, depth + 1) for inner in (one.values() if isinstance(one, dict) else one)]
        _writable(keyword, [one] if isinstance(one, str) else one if isinstance(one, dict) else (), place)
        if isinstance(one, int | float):
            _exact(keyword, one, place)


def _writable(keyword: str, texts: Iterable[str], place: Place) -> None:
    """llguidance leaves a character out of a text that it can write neither as it is nor with a short escape."""
    for text in texts:
        found = UNWRITABLE.search(text)
        if found:
            place.refuse(keyword, f"has U+{ord(found[0]):04X} in {text!r:.60}, which cannot be written without \\u")


def _enum(keyword: str, value: Any, place: Place) -> None:
    if not isinstance(value, list) or not value:
        place.refuse(keyword, "must be a list of values, not empty")
    _constant(keyword, value, place)


KEYWORDS: dict[str, Check] = {
    "$ref": _reference,
    "$defs": _named_schemas,
    "definitions": _named_schemas,
    "type": _type,
    "const": _constant,
    "enum": _enum,
    "allOf": _schemas,
    "anyOf": _schemas,
    "oneOf": _schemas,
    "items": _items,
    "prefixItems": _schemas,
    "additionalItems": _additional_items,
    "minItems": _up_to(LARGEST_COUNT),
    "maxItems": _up_to(LARGEST_COUNT),
    "properties": _properties,
    "patternProperties": _pattern_properties,
    "additionalProperties": _schema,
    "required": _required,
    "minProperties": _min_properties,
    "maxProperties": _up_to(LARGEST_COUNT),
    "minLength": _up_to(LARGEST_LENGTH),
    "maxLength": _up_to(LARGEST_LENGTH),
    "pattern": _pattern,
    "format": _format,
    "minimum": _bound,
    "maximum": _bound,
    "exclusiveMinimum": _bound,
    "exclusiveMaximum": _bound,
    "multipleOf": _multiple,
    **dict.fromkeys(("not", "if", "then", "else", "contains", "propertyNames"), _schema),
    **dict.fromkeys(("unevaluatedItems", "unevaluatedProperties"), _schema),
    **dict.fromkeys(("minContains", "maxContains"), _up_to(LARGEST_COUNT)),
    "dependentRequired": _lists_of_names,
    "dependentSchemas": _properties,
    "dependencies": _properties,
    "uniqueItems": _yes_or_no,
}
"""Every keyword that is enforced, with the check of its value."""

COUNTS = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
ONE = ("additionalProperties", "additionalItems")
MANY = ("allOf", "anyOf", "oneOf", "prefixItems")
NAMED = ("$defs", "definitions", "properties", "patternProperties")

Visit = Callable[[Json, str], Json]


def mapped(keyword: str, value: Any, pointer: str, visit: Visit) -> Json:
    """A keyword's value with each subschema in it replaced by what `visit(subschema, its pointer)` makes of it."""
    if keyword in ONE or (keyword == "items" and not isinstance(value, list)):
        return visit(value, pointer)
    if keyword in MANY or keyword == "items":
        return [visit(one, child_pointer(pointer, str(i))) for i, one in enumerate(value)]
    if keyword in NAMED:
        return {name: visit(one, child_pointer(pointer, name)) for name, one in value.items()}
    result: Json = value
    return result


def translated(keyword: str, value: Any) -> Json:
    """A checked keyword's value as llguidance gets it: patterns in Rust's dialect."""
    if keyword == "patternProperties":
        return {rust_pattern(pattern): schema for pattern, schema in value.items()}
    if keyword in COUNTS:
        return int(value)
    return rust_pattern(value) if keyword == "pattern" else value
