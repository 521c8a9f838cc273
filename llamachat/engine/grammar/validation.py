"""A finished text against its whole schema, for what the grammar does not enforce: by the package jsonschema.

It is imported when it is needed, and reads no document but the schema and the dialects of JSON schema themselves. A
part of it is in Rust, and panics where it meets Python's limit of recursion.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llamachat.engine.grammar.vocabulary import guarded
from llamachat.errors import GrammarError, UsageError

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

LONGEST_MESSAGE = 200


def check_schema(schema: Any, name: str) -> None:
    """Raises UsageError, with the place, for what is no schema."""
    from jsonschema.exceptions import SchemaError

    found: SchemaError | None = None
    with guarded(f"{name}: this schema cannot be read", UsageError):
        try:
            _validator(schema)
        except SchemaError as error:
            found = error
    if found is not None:
        raise UsageError(f"{name}: at {_place(found.absolute_path)}: {_short(found.message)}") from found


def check_text(text: str, schema: Any, name: str) -> None:
    """Raises GrammarError, with the place in the value, for a text that does not satisfy the schema."""
    with guarded(f"{name}: the answer could not be checked against the schema"):
        error = next(iter(_validator(schema).iter_errors(json.loads(text))), None)
    if error is not None:
        place, keyword = _place(error.absolute_path), _place(error.absolute_schema_path)
        raise GrammarError(
            f"{name}: the answer does not satisfy the schema: at {place}: {_short(error.message)} ({keyword})"
        )


def _validator(schema: Any) -> Validator:
    from jsonschema.validators import Draft202012Validator, validator_for
    from jsonschema_specifications import REGISTRY

    kind = validator_for(schema, default=Draft202012Validator)
    kind.check_schema(schema)
    return kind(schema, registry=REGISTRY, format_checker=kind.FORMAT_CHECKER)


def _place(path: Any) -> str:
    return "/".join(["#", *(str(step).replace("~", "~0").replace("/", "~1") for step in path)])[:LONGEST_MESSAGE]


def _short(message: str) -> str:
    line = " ".join(message.split())
    return line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]}..."
