"""Places in a schema: JSON pointers (RFC 6901), where references lead, and whether that ever ends."""

from __future__ import annotations

from llamachat.engine.grammar.schema_walk import Json, subschemas, with_subschemas


def resolve(document: Json, pointer: str) -> tuple[Json] | None:
    """What stands at a pointer (`#`, `#/a/0`), as a tuple of one; None where nothing does.

    What is below a `$id` belongs to another document, and is not found.
    """
    found = document
    for step in pointer.split("/")[1:]:
        if found is not document and isinstance(found, dict) and isinstance(found.get("$id"), str):
            return None
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            return None
    return (found,)


def is_finite(schema: Json, finite: set[str], nothing: bool = True) -> bool:
    """Whether some finite value may satisfy a schema, when the references in `finite` have one.

    Looks at what must be inside: required properties, items up to minItems, and every schema of allOf. nothing: what is
    said of `false`.
    """
    if isinstance(schema, bool):
        return schema or nothing
    must = list(schema.get("allOf", ()))
    if schema.get("type") in ("object", ["object"]):
        properties = schema.get("properties", {})
        must += [properties[name] for name in schema.get("required", ()) if name in properties]
    if schema.get("type") in ("array", ["array"]):
        first, least = schema.get("prefixItems", []), schema.get("minItems", 0)
        must += first[:least] + ([schema.get("items", True)] if least > len(first) else [])
    options = [schema[key] for key in ("anyOf", "oneOf") if key in schema]
    return (
        ("$ref" not in schema or schema["$ref"] in finite)
        and all(is_finite(one, finite, nothing) for one in must)
        and all(any(is_finite(one, finite, nothing) for one in some) for some in options)
    )


def endless(definitions: dict[str, Json]) -> str | None:
    """The first definition (by the text of the reference to it) that is satisfied by nothing that ends."""
    finite = _finite(definitions, nothing=True)
    return next((name for name in definitions if name not in finite), None)


def impossible(definitions: dict[str, Json]) -> set[str]:
    """The definitions that nothing satisfies, as far as is plain to see."""
    return set(definitions) - _finite(definitions, nothing=False)


def _finite(definitions: dict[str, Json], nothing: bool) -> set[str]:
    finite: set[str] = set()
    grown = True
    while grown:
        found = {name for name, one in definitions.items() if name not in finite and is_finite(one, finite, nothing)}
        finite |= found
        grown = bool(found)
    return finite


def without_references(schema: Json, to: set[str]) -> Json:
    """The schema, where whatever refers to one of these is `false`."""
    if not isinstance(schema, dict) or not to:
        return schema
    if schema.get("$ref") in to:
        return False
    return with_subschemas(schema, "", lambda one, _: without_references(one, to))


def levels(schema: Json, definitions: dict[str, Json]) -> int:
    """How deep schemas stand inside one another when each definition is entered where it is first referred to."""
    entered: set[str] = set()
    deepest, path = 0, [(iter(_references(schema, 1)), 0)]
    while path:
        following, depth = path[-1]
        step = next(((name, level) for name, level in following if name not in entered), None)
        if step is None:
            path.pop()
            continue
        name, level = step
        entered.add(name)
        deepest = max(deepest, depth + level)
        path.append((iter(_references(definitions[name], 1)), depth + level))
    return deepest


def _references(schema: Json, level: int) -> list[tuple[str, int]]:
    """The references in a plain schema, each with its level, in the order of the text."""
    if not isinstance(schema, dict):
        return []
    found = [(schema["$ref"], level)] if "$ref" in schema else []
    return found + [inner for one in subschemas(schema) for inner in _references(one, level + 1)]
