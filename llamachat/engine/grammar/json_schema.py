"""JSON schemas: checked against what is really enforced, then handed to llguidance in one plain form.

llguidance compiles schemas to grammars. What it leaves out in silence, or enforces only approximately, is refused here
with its name and its place (a JSON pointer): unknown keywords, names of properties that a pattern matches too, numbers
of more than 15 digits, patterns that the dialects of regular expressions read differently, `$id` below the root, counts
of properties (their names may come twice), and a multipleOf that would take minutes. Numbers are float64. Whatever
text the grammar admits satisfies the schema; it does not admit all that do: properties come in the schema's order,
integers without a fraction, strings without `\\uXXXX`, formats as `schema_formats.py` tells.
"""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from typing import NoReturn
from urllib.parse import unquote

from llamachat.engine.grammar.lark import HEADER
from llamachat.engine.grammar.schema_formats import PATTERNS
from llamachat.engine.grammar.schema_keywords import (
    ANNOTATIONS,
    APPLICATORS,
    KEYWORDS,
    Place,
    check_keyword,
    mapped,
    told,
)
from llamachat.engine.grammar.schema_places import Json, child_pointer, endless, levels, resolve
from llamachat.engine.grammar.vocabulary import byte_tree, compiled
from llamachat.errors import UsageError

DEEPEST = 64
LONGEST_TEXT = 1_000_000
MOST_SUBSCHEMAS = 10_000
MOST_BLAMED = 500
MOST_LEVELS = 400
"""llguidance recurses over schemas and what they refer to; its stack (8 MB) held 800 levels, and 1600 not."""

# At most one of these between two parts of a text: a blank, or a new line with its indentation.
WHITESPACE = r"\x20|\n\x20{0,32}"

# `u` is missing: "\u0061" would be a second way to write "a", past every check of names and lengths.
COMPILER = {
    "whitespace_pattern": WHITESPACE,
    "json_allowed_escapes": 'nrbtf\\"',
    "coerce_one_of": False,
    "lenient": False,
}
IN_PLACE = ("const", "enum", *APPLICATORS)
DEFINITIONS = ("$defs", "definitions")


def schema_grammar(text: str, name: str) -> str:
    """The grammar, in llguidance's notation, of the JSON texts that a schema admits.

    Raises UsageError for a text that is not JSON, a keyword that is not enforced, and a schema that nothing satisfies.
    """
    schema = _parse(text, name)
    plain = _Plain(schema, name)
    whole = plain.walk()
    if levels(whole, plain.definitions) > MOST_LEVELS:
        plain.refuse("#", f"references lead from schema to schema over more than {MOST_LEVELS} levels")
    unending = endless(plain.definitions)
    if unending is not None:
        plain.refuse_definition(unending, "nothing finite satisfies this schema: it asks for itself inside itself")
    said = _complaint(whole, plain.definitions)
    if said:
        found = plain.found.items()
        for pointer, part in sorted(found, key=lambda item: -item[0].count("/"))[:MOST_BLAMED]:
            by_itself = _complaint(part, plain.definitions)
            if by_itself and part is not False:
                plain.refuse(pointer, by_itself)
        plain.refuse("#", said)
    return _grammar(whole, plain.definitions)


def _grammar(schema: Json, definitions: dict[str, Json]) -> str:
    """A plain schema in llguidance's notation."""
    keywords = {"anyOf": [False]} if schema is False else {} if schema is True else schema
    named = {reference.removeprefix("#/$defs/"): one for reference, one in definitions.items()}
    return f"{HEADER}start: %json {json.dumps({**keywords, '$defs': named, 'x-guidance': COMPILER})}\n"


def _complaint(schema: Json, definitions: dict[str, Json]) -> str:
    """What llguidance has against a plain schema, "" for nothing."""
    what = "grammar"
    try:
        compiled(byte_tree(), _grammar(schema, definitions), what, UsageError)
    except UsageError as error:
        text = str(error).removeprefix(f"{what}: ")
    else:
        return ""
    if text.startswith("oneOf constraints are not supported"):
        return "oneOf is supported only where no value can satisfy two of its schemas, and that must be plain to see"
    return text


def _parse(text: str, name: str) -> Json:
    if len(text) > LONGEST_TEXT:
        raise UsageError(f"{name}: a schema has at most {LONGEST_TEXT} characters, this one {len(text)}")
    try:
        schema: Json = json.loads(text, object_pairs_hook=_without_twins, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        line = error.doc.split("\n")[error.lineno - 1]
        start = max(0, error.colno - 60)
        shown = "".join(c if c.isprintable() else " " for c in line[start : start + 72])
        caret = " " * (error.colno - 1 - start) + "^"
        where = f"{name}:{error.lineno}:{error.colno}"
        raise UsageError(f"{where}: this is not JSON: {error.msg}", (shown, caret)) from error
    except (ValueError, RecursionError) as error:
        said = "it nests too deep" if isinstance(error, RecursionError) else str(error)
        raise UsageError(f"{name}: this schema cannot be read: {said}") from error
    return schema


def _without_twins(pairs: list[tuple[str, Json]]) -> Json:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twin!r:.60} stands twice in one object")
    return found


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a JSON number")


class _Plain:
    """Walks through a schema, checks each keyword, and writes it anew in the form that llguidance compiles best.

    found: the plain form of every subschema, by its pointer. definitions: those that a $ref leads to, by the text of
    the new $ref; the places that had definitions are not looked at otherwise.
    """

    def __init__(self, schema: Json, name: str) -> None:
        self._schema, self._name = schema, name
        self.found: dict[str, Json] = {}
        self.definitions: dict[str, Json] = {}
        self._names: dict[str, str] = {}
        self._combined: set[str] = set()
        self._wanted: list[str] = []
        self._steps: set[Decimal] = set()

    def walk(self) -> Json:
        """The whole schema in its plain form. Raises UsageError with the place of what is not supported."""
        plain = self._subschema(self._schema, "#", False, 0)
        while self._wanted:
            pointer = self._wanted.pop()
            target = resolve(self._schema, pointer)
            if target is None:
                self.refuse(pointer, "nothing stands where a $ref leads to")
            combined = pointer in self._combined
            self.definitions[self._names[pointer]] = self._subschema(target[0], pointer, combined, 0)
        return plain

    def refuse(self, pointer: str, message: str) -> NoReturn:
        """Raises UsageError about a place of the schema."""
        raise UsageError(f"{self._name}: at {pointer:.200}: {message}")

    def refuse_definition(self, reference: str, message: str) -> NoReturn:
        """Raises UsageError about a definition."""
        self.refuse(next(pointer for pointer, name in self._names.items() if name == reference), message)

    def _subschema(self, schema: Json, pointer: str, combined: bool, depth: int) -> Json:
        """The plain form of one subschema. combined: it is intersected with others."""
        if depth > DEEPEST:
            self.refuse(pointer, f"schemas nest deeper than {DEEPEST}")
        if len(self.found) > MOST_SUBSCHEMAS:
            self.refuse(pointer, f"there are more than {MOST_SUBSCHEMAS} schemas")
        if not isinstance(schema, dict | bool):
            self.refuse(pointer, "a schema is an object, true or false")
        plain = schema if isinstance(schema, bool) else self._keywords(schema, pointer, combined, depth)
        self.found[pointer] = plain
        return plain

    def _keywords(self, schema: dict[str, Json], pointer: str, combined: bool, depth: int) -> Json:
        together = combined or _is_combination(schema)
        place = Place(pointer, schema, combined, self.refuse, self._steps)
        plain: dict[str, Json] = {}
        for keyword, value in schema.items():
            where = child_pointer(pointer, keyword)
            if keyword == "$id" and pointer != "#":
                self.refuse(where, "$id begins another document, in which # is another place: it is not supported here")
            if keyword in ANNOTATIONS or (keyword.startswith("x-") and keyword != "x-guidance"):
                continue
            if keyword not in KEYWORDS:
                self.refuse(where, f"the keyword {keyword!r:.60} is not supported")
            check_keyword(keyword, value, place)
            below = together and keyword in APPLICATORS
            if keyword == "$ref":
                plain[keyword] = self._definition(unquote(value), below)
            elif keyword not in DEFINITIONS:
                inner = mapped(keyword, value, where, partial(self._below, combined=below, depth=depth + 1))
                plain[keyword] = told(keyword, inner)
        return _in_order(_formats(_tuples(plain)))

    def _below(self, schema: Json, pointer: str, combined: bool, depth: int) -> Json:
        return self._subschema(schema, pointer, combined, depth)

    def _definition(self, pointer: str, combined: bool) -> str:
        """The new reference to a place, which will be visited; again, if it is intersected and was not before."""
        if pointer not in self._names or (combined and pointer not in self._combined):
            self._names.setdefault(pointer, f"#/$defs/d{len(self._names)}")
            self._combined |= {pointer} if combined else set()
            self._wanted.append(pointer)
        return self._names[pointer]


def _is_combination(schema: dict[str, Json]) -> bool:
    """Whether the schemas that are about a schema's own value (allOf, anyOf, oneOf, $ref) are intersected."""
    in_place = [keyword for keyword in APPLICATORS if keyword in schema]
    if not in_place:
        return False
    several = isinstance(schema.get("allOf"), list) and len(schema["allOf"]) > 1
    return several or any(
        keyword in KEYWORDS and keyword not in DEFINITIONS and keyword != in_place[0] for keyword in schema
    )


def _tuples(schema: dict[str, Json]) -> dict[str, Json]:
    """The older form of tuples, `items` as a list with `additionalItems`, in the newer one."""
    if isinstance(schema.get("items"), list):
        schema["prefixItems"] = schema.pop("items")
        if "additionalItems" in schema:
            schema["items"] = schema.pop("additionalItems")
    return schema


def _formats(schema: dict[str, Json]) -> dict[str, Json]:
    """A format of our own as the patterns that it is, beside one that the schema may have."""
    if schema.get("format") in PATTERNS:
        patterns = [{"pattern": pattern} for pattern in PATTERNS[schema.pop("format")]]
        schema["allOf"] = [*schema.get("allOf", ()), *patterns]
    return schema


def _in_order(schema: dict[str, Json]) -> dict[str, Json]:
    """What is asserted of the value itself first, then what is intersected with it.

    llguidance compiles keywords in their order, those between two in-place applicators apart from the others.
    """
    return dict(sorted(schema.items(), key=lambda item: item[0] in IN_PLACE))
