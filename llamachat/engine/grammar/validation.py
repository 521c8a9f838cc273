"""A finished text against its whole schema, for what the grammar does not enforce: by the package jsonschema.

It is imported when it is needed, and reads no document but the schema and the dialects of JSON schema themselves.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from llamachat.errors import GrammarError, UsageError

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

LONGEST_MESSAGE = 200


def check_schema(schema: Any, name: str) -> None:
    """Raises UsageError, with the place, for what is no schema."""
    from jsonschema.exceptions import SchemaError

    try:
        _validator(schema)
    except SchemaError as error:
        raise UsageError(f"{name}: at {_place(error.absolute_path)}: {_short(error.message)}") from error
    except RecursionError as error:
        raise UsageError(f"{name}: this schema cannot be read: it nests too deep") from error


def check_text(text: str, schema: Any, name: str) -> None:
    """Raises GrammarError, with the place in the value, for a text that does not satisfy the schema."""
    from referencing.exceptions import Unresolvable

    try:
        value = json.loads(text)
        error = next(iter(_validator(schema).iter_errors(value)), None)
    except RecursionError as raised:
        raise GrammarError(f"{name}: the answer could not be checked against the schema: it nests too deep") from raised
    except (ValueError, Unresolvable) as raised:
        raise GrammarError(
            f"{name}: the answer could not be checked against the schema: {_short(str(raised))}"
        ) from raised
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
