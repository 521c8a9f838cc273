"""--schema-unenforced: what is said where a grammar cannot enforce a schema."""

import pytest

from llamachat.cli.constraint import ConstraintChoice, Unenforced
from llamachat.errors import GrammarError, UsageError
from llamachat.relations import agreed

UNIQUE = '{"type": "array", "uniqueItems": true}'


def test_a_refusal_tells_of_the_check_where_that_would_do() -> None:
    with pytest.raises(UsageError, match=r"at #/uniqueItems: .*; --schema-unenforced check enforces the rest"):
        ConstraintChoice(json_schema=UNIQUE)
    for no_schema in ("{", '{"type": "strng"}', '{"$ref": "http://a/b"}', "false"):
        with pytest.raises(UsageError) as caught:
            ConstraintChoice(json_schema=no_schema)
        assert "--schema-unenforced" not in str(caught.value)


def test_with_check_the_finished_answer_is_checked() -> None:
    source = ConstraintChoice(json_schema=UNIQUE, schema_unenforced=Unenforced.CHECK).source
    assert source is not None
    source.check("[1, 2]")
    with pytest.raises(GrammarError, match="--json-schema: the answer does not satisfy the schema: at #: "):
        source.check("[1, 1]")


def test_check_without_a_schema_is_refused() -> None:
    values = {"grammar": "json", "schema_unenforced": "check", "json_schema": None, "json_schema_file": None}
    with pytest.raises(UsageError, match="needs --json-schema or --json-schema-file"):
        agreed(values, {**values, "schema_unenforced": "refuse"}, {}, ["schema_unenforced"])
