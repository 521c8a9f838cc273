"""References in a schema: `$id`, `$anchor` and `$dynamicRef` within one document, all written as places of it (#/a/b).

A `$dynamicRef` leads where the outermost schema on the way to it says, which no grammar can know; where a document has
only one `$dynamicAnchor` of that name, it is an ordinary reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn
from urllib.parse import quote, unquote, urldefrag, urljoin

from llamachat.engine.grammar.schema_walk import Json, child_pointer, with_subschemas

Refuse = Callable[[str, str], NoReturn]
MOST_LEVELS = 200
REFERENCES = ("$ref", "$dynamicRef")
NAMES = ("$anchor", "$dynamicAnchor")
DIALECTS = ("json-schema.org/draft/2020-12/schema", "json-schema.org/draft/2019-09/schema",
            "json-schema.org/draft-07/schema", "json-schema.org/draft-06/schema", "json-schema.org/draft-04/schema",
            "json-schema.org/schema")  # fmt: skip


def with_places(document: Json, refuse: Refuse) -> Json:
    """The document, with each reference to one of its places as `#` and a pointer, and without `$id` and anchors.

    Refuses, with its place, a reference to what is not in the document.
    """
    if not isinstance(document, dict):
        return document
    _check_dialect(document, refuse)
    index = _Index(refuse)
    index.add(document, "#", "", 0)
    return index.rewritten(document, "#", "")


def _check_dialect(document: dict[str, Json], refuse: Refuse) -> None:
    dialect = document.get("$schema")
    if dialect is None:
        return
    if not isinstance(dialect, str) or dialect.split("://", 1)[-1].rstrip("#") not in DIALECTS:
        refuse("#/$schema", f"the dialect {dialect!r:.100} is not known; leave $schema out, or give JSON schema's own")


class _Index:
    """Where each `$id` and each anchor of a document stands. The base of the whole is "" unless it has an `$id`."""

    def __init__(self, refuse: Refuse) -> None:
        self._refuse = refuse
        self._resources: dict[str, str] = {"": "#"}
        self._anchors: dict[tuple[str, str], str] = {}
        self._dynamic: dict[str, list[str]] = {}

    def add(self, schema: Json, pointer: str, base: str, depth: int) -> None:
        """Note what a schema and those below are called."""
        if depth > MOST_LEVELS:
            self._refuse(pointer, f"schemas nest deeper than {MOST_LEVELS}")
        if not isinstance(schema, dict):
            return
        base = self._base(schema, base)
        self._resources.setdefault(base, pointer)
        for keyword in NAMES:
            if isinstance(schema.get(keyword), str):
                self._anchors.setdefault((base, schema[keyword]), pointer)
        if isinstance(schema.get("$dynamicAnchor"), str):
            self._dynamic.setdefault(schema["$dynamicAnchor"], []).append(pointer)

        def visit(one: Json, where: str) -> Json:
            self.add(one, where, base, depth + 1)
            return one

        with_subschemas(schema, pointer, visit)

    def rewritten(self, schema: Json, pointer: str, base: str) -> Json:
        """The schema with its references as places."""
        if not isinstance(schema, dict):
            return schema
        base = self._base(schema, base)
        made = with_subschemas(schema, pointer, lambda one, where: self.rewritten(one, where, base))
        for keyword in REFERENCES:
            if isinstance(made.get(keyword), str):
                place = self._place(keyword, made.pop(keyword), pointer, base)
                reference = "#" + quote(place[1:], safe="/~!$&'()*+,;=:@")
                if made.setdefault("$ref", reference) != reference:
                    made["allOf"] = [*made.get("allOf", ()), {"$ref": reference}]
        return {keyword: value for keyword, value in made.items() if keyword not in ("$id", *NAMES)}

    def _base(self, schema: dict[str, Json], base: str) -> str:
        given = schema.get("$id")
        return urldefrag(_joined(base, given))[0] if isinstance(given, str) and not given.startswith("#") else base

    def _place(self, keyword: str, reference: str, pointer: str, base: str) -> str:
        where = child_pointer(pointer, keyword)
        uri, fragment = urldefrag(_joined(base, reference))
        fragment = unquote(fragment)
        if uri not in self._resources:
            self._refuse(where, f"{keyword} leads to another document, and only this one is read: {reference!r:.100}")
        if not fragment or fragment.startswith("/"):
            return self._resources[uri] + fragment
        place = self._anchors.get((uri, fragment))
        if place is None:
            self._refuse(where, f"{keyword} leads to an anchor that is not there: {reference!r:.100}")
        others = self._dynamic.get(fragment, [])
        if keyword == "$dynamicRef" and place in others and len(others) > 1:
            self._refuse(where, f"$dynamicRef with several $dynamicAnchor {fragment!r:.60} is not supported")
        return place


def _joined(base: str, reference: str) -> str:
    """A reference, seen from a base."""
    if reference.startswith("#"):
        return base + reference
    try:
        return urljoin(base, reference)
    except ValueError:
        return reference
