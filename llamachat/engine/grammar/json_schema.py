"""JSON schemas: checked against what is really enforced, then handed to llguidance in one plain form.

llguidance compiles schemas to grammars. What it does not know is said in what it knows (`schema_rewrite.py`). What it
leaves out in silence, or enforces only approximately, is refused here with its name and its place (a JSON pointer):
unknown keywords, names of properties that a pattern matches too, numbers of more than 15 digits, constants with
characters that need `\\u`, patterns that the dialects of regular expressions read differently, counts of properties
(their names may come twice), and a multipleOf that would take minutes. Numbers are float64. Whatever text the grammar
admits satisfies the schema; it does not admit all that do: properties come in the schema's order, integers without a
fraction, strings without `\\uXXXX`, formats as `schema_formats.py` tells.

Or, leniently, what would be refused is left out and reported, so that the finished text can be checked
(`validation.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    TYPES,
    Place,
    check_keyword,
    mapped,
    translated,
)
from llamachat.engine.grammar.schema_opposite import NotEnforced
from llamachat.engine.grammar.schema_places import endless, impossible, levels, resolve, without_references
from llamachat.engine.grammar.schema_refs import with_places
from llamachat.engine.grammar.schema_rewrite import REWRITTEN, Rewrite
from llamachat.engine.grammar.schema_walk import Json, child_pointer
from llamachat.engine.grammar.validation import check_schema
from llamachat.engine.grammar.vocabulary import PLAIN, byte_tree, compiled
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
MOST_ATTEMPTS = 24
ONE_OF = "oneOf is supported only where no value can satisfy two of its schemas, and that must be plain to see"
NO_TEXT = PLAIN["NoExtension"]
NOTHING = "Unsatisfiable schema"
IN_PLACE = ("const", "enum", *APPLICATORS)
NAMED_BY = {"patternProperty regexes": ("patternProperties",), "min/maxProperties": ("minProperties", "maxProperties")}
"""Which keywords of a place a complaint of llguidance is about, where it says so; of others all are."""

THE_REST_OF = {
    "properties": "additionalProperties",
    "patternProperties": "additionalProperties",
    "prefixItems": "items",
}
"""What is left out with a keyword, as it is about what that does not name."""

DEFINITIONS = ("$defs", "definitions")


@dataclass(frozen=True)
class SchemaGrammar:
    """A grammar in llguidance's notation, and the places of the schema that it does not enforce."""

    text: str
    unenforced: tuple[str, ...] = ()


def schema_grammar(text: str, name: str, lenient: bool = False) -> SchemaGrammar:
    """The grammar of the JSON texts that a schema admits. lenient: of more, where it cannot be exact.

    Raises UsageError for a text that is not JSON, a keyword that is not enforced, and a schema that nothing satisfies.
    """
    schema = _parse(text, name)
    if lenient:
        check_schema(schema, name)
    expanded, dropped = False, frozenset[str]()
    for _ in range(MOST_ATTEMPTS):
        plain = _Plain(schema, name, lenient, expanded, dropped)
        whole = plain.walk()
        if levels(whole, plain.definitions) > MOST_LEVELS:
            plain.refuse("#", f"references lead from schema to schema over more than {MOST_LEVELS} levels")
        unending = endless(plain.definitions)
        if unending is not None:
            plain.refuse_definition(unending, "nothing finite satisfies this schema: it asks for itself inside itself")
        whole = plain.without_impossible(whole)
        said = _complaint(whole, plain.definitions)
        if not said:
            return SchemaGrammar(_grammar(whole, plain.definitions), tuple(plain.unenforced))
        if said == ONE_OF and not expanded:
            expanded = True
            continue
        pointer, by_itself = _blamed(plain, said)
        if not lenient or NOTHING in by_itself or pointer in dropped:
            plain.refuse(pointer, by_itself)
        dropped |= _dropped_for(pointer, plain.found[pointer], by_itself)
    raise UsageError(f"{name}: this schema asks for too much that cannot be enforced")


def _blamed(plain: _Plain, said: str) -> tuple[str, str]:
    """The deepest place about which llguidance complains, and how."""
    found = plain.found.items()
    for pointer, part in sorted(found, key=lambda item: -item[0].count("/"))[:MOST_BLAMED]:
        by_itself = _complaint(part, plain.definitions)
        is_other = NOTHING in by_itself and NOTHING not in said  # where nothing need stand
        if by_itself and part is not False and not is_other:
            return pointer, by_itself
    return "#", said


def _dropped_for(pointer: str, schema: Json, said: str) -> frozenset[str]:
    """What is left out of a schema about which llguidance complains: some keywords, else all of it."""
    about = next((keywords for words, keywords in NAMED_BY.items() if words in said), ())
    return frozenset(child_pointer(pointer, keyword) for keyword in about if keyword in schema) or frozenset((pointer,))


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
    return ONE_OF if text.startswith("oneOf constraints are not supported") else text


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

    def __init__(self, schema: Json, name: str, lenient: bool, expanded: bool, dropped: frozenset[str]) -> None:
        self._name, self._lenient, self._expanded, self._dropped = name, lenient, expanded, dropped
        self._schema = with_places(schema, self.refuse)
        self.found: dict[str, Json] = {}
        self.definitions: dict[str, Json] = {}
        self.unenforced = sorted(dropped)
        self._names: dict[str, str] = {}
        self._combined: set[str] = set()
        self._wanted: list[str] = []
        self._steps: set[Decimal] = set()
        self._bounds: set[tuple[float, bool]] = set()

    def walk(self) -> Json:
        """The whole schema in its plain form. Raises UsageError with the place of what is not supported."""
        plain = self._subschema(self._schema, "#", False, 0)
        while self._wanted:
            pointer = self._wanted.pop()
            target = self._target(pointer)
            combined = pointer in self._combined
            self.definitions[self._names[pointer]] = self._subschema(target, pointer, combined, 0)
        return plain

    def refuse(self, pointer: str, message: str) -> NoReturn:
        """Raises UsageError about a place of the schema."""
        raise UsageError(f"{self._name}: at {pointer:.200}: {message}")

    def refuse_definition(self, reference: str, message: str) -> NoReturn:
        """Raises UsageError about a definition."""
        self.refuse(next(pointer for pointer, name in self._names.items() if name == reference), message)

    def without_impossible(self, whole: Json) -> Json:
        """The schema with references to what nothing satisfies as `false`."""
        nothing = impossible(self.definitions)
        for name in nothing:
            del self.definitions[name]
        for name, schema in self.definitions.items():
            self.definitions[name] = without_references(schema, nothing)
        self.found = {pointer: without_references(one, nothing) for pointer, one in self.found.items()}
        return without_references(whole, nothing)

    def _target(self, pointer: str) -> Json:
        """The schema at a place."""
        target = resolve(self._schema, unquote(pointer))
        if target is None:
            self.refuse(pointer, "nothing stands where a $ref leads to")
        return target[0]

    def _subschema(self, schema: Json, pointer: str, combined: bool, depth: int) -> Json:
        """The plain form of one subschema. combined: it is intersected with others."""
        if depth > DEEPEST:
            self.refuse(pointer, f"schemas nest deeper than {DEEPEST}")
        if len(self.found) > MOST_SUBSCHEMAS:
            self.refuse(pointer, f"there are more than {MOST_SUBSCHEMAS} schemas")
        if not isinstance(schema, dict | bool):
            self.refuse(pointer, "a schema is an object, true or false")
        if pointer in self._dropped:
            return True
        plain = schema if isinstance(schema, bool) else self._keywords(schema, pointer, combined, depth)
        self.found[pointer] = plain
        return plain

    def _keywords(self, schema: dict[str, Json], pointer: str, combined: bool, depth: int) -> Json:
        place = Place(pointer, schema, combined, self.refuse, self._steps, self._bounds)
        added = self._added(schema, place)
        together = combined or _is_combination(schema, added)
        plain: dict[str, Json] = {}
        for keyword, value in schema.items():
            where = child_pointer(pointer, keyword)
            if keyword in REWRITTEN or keyword in added or keyword in ANNOTATIONS or _is_extension(keyword):
                continue
            if where in self._dropped:
                continue
            below = together and keyword in APPLICATORS
            with self._left_out(where):
                self._known(keyword, value, place)
                if keyword == "$ref":
                    plain[keyword] = self._definition(unquote(value), below)
                elif keyword not in DEFINITIONS:
                    visit = partial(self._below, combined=below, depth=depth + 1)
                    plain[keyword] = translated(keyword, mapped(keyword, value, where, visit))
        for keyword, rest in THE_REST_OF.items():
            if keyword in schema and keyword not in plain:
                plain.pop(rest, None)
        for keyword, one in added.items():
            visited = self._subschema(one, child_pointer(pointer, keyword), together, depth + 1)
            plain["allOf"] = [*plain.get("allOf", ()), visited]
        return _with_texts_that_are(_in_order(_formats(_tuples(plain))))

    def _known(self, keyword: str, value: Json, place: Place) -> None:
        if keyword not in KEYWORDS:
            self.refuse(child_pointer(place.pointer, keyword), f"the keyword {keyword!r:.60} is not supported")
        check_keyword(keyword, value, place)

    def _added(self, schema: dict[str, Json], place: Place) -> dict[str, Json]:
        """What the keywords say that llguidance does not know, each as a schema that holds besides."""
        rewrite = Rewrite(lambda reference: self._target(unquote(reference)))
        added: dict[str, Json] = {}
        for keyword in REWRITTEN.keys() & schema.keys() | ({"oneOf"} & schema.keys() if self._expanded else set()):
            where, value = child_pointer(place.pointer, keyword), schema[keyword]
            with self._left_out(where):
                check_keyword(keyword, value, place)
                try:
                    found = rewrite.one_of(value) if keyword == "oneOf" else rewrite.of(keyword, value, schema)
                except NotEnforced as error:
                    if keyword == "oneOf" and self._lenient:
                        self.unenforced.append(where)
                        found = {"anyOf": value}
                    else:
                        self.refuse(where, f"{keyword}: {error}" if keyword != "oneOf" else f"{ONE_OF} ({error})")
                except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
                    self.refuse(where, f"{keyword} holds what is no schema")
                if found is not True:
                    added[keyword] = found
        return dict(sorted(added.items()))

    @contextmanager
    def _left_out(self, where: str) -> Iterator[None]:
        """Leniently, what cannot be enforced is left out and noted."""
        try:
            yield
        except UsageError:
            if not self._lenient:
                raise
            self.unenforced.append(where)

    def _below(self, schema: Json, pointer: str, combined: bool, depth: int) -> Json:
        return self._subschema(schema, pointer, combined, depth)

    def _definition(self, pointer: str, combined: bool) -> str:
        """The new reference to a place, which will be visited; again, if it is intersected and was not before."""
        if pointer not in self._names or (combined and pointer not in self._combined):
            self._names.setdefault(pointer, f"#/$defs/d{len(self._names)}")
            self._combined |= {pointer} if combined else set()
            self._wanted.append(pointer)
        return self._names[pointer]


def _is_extension(keyword: str) -> bool:
    return keyword.startswith("x-") and keyword != "x-guidance"


def _is_combination(schema: dict[str, Json], added: dict[str, Json]) -> bool:
    """Whether the schemas that are about a schema's own value (allOf, anyOf, oneOf, $ref, added) are intersected."""
    in_place = [keyword for keyword in APPLICATORS if keyword in schema and keyword not in added]
    if not in_place and not added:
        return False
    several = isinstance(schema.get("allOf"), list) and len(schema["allOf"]) > 1
    first = next(iter([*added, *in_place]))
    others = {keyword for keyword in schema if keyword in KEYWORDS and keyword not in REWRITTEN} | added.keys()
    return several or bool(others - {first, *DEFINITIONS})


def _with_texts_that_are(schema: dict[str, Json]) -> Json:
    """The schema without texts, where no text of JSON (without `\\u`) has its patterns and lengths."""
    patterns = [one for one in schema.get("allOf", ()) if isinstance(one, dict) and one.keys() == {"pattern"}]
    if "pattern" not in schema and not patterns:
        return schema
    asserted = {key: schema[key] for key in ("pattern", "minLength", "maxLength") if key in schema}
    said = _complaint({"type": "string", **asserted, "allOf": patterns}, {})
    if NO_TEXT not in said and NOTHING not in said:
        return schema
    kinds = schema.get("type", list(TYPES))
    others = [kind for kind in (kinds if isinstance(kinds, list) else [kinds]) if kind != "string"]
    if not others:
        return False
    kept = {key: value for key, value in schema.items() if key not in ("pattern", "minLength", "maxLength", "format")}
    return {**kept, "type": others}


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
