"""Options that constrain the output to a grammar or a JSON schema."""

import re
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from llamachat.errors import UsageError

_FILE_NAME = re.compile(r'[^\s{}\[\]"=]*(\.[A-Za-z]\w*|[/\\][^\s{}\[\]"=]+)')
"""A word that ends like the name of a file, or has a folder before it: no schema and no grammar is written so."""

if TYPE_CHECKING:
    from llamachat.engine.grammar import GrammarSource


class Unenforced(StrEnum):
    """What is done with a schema that a grammar cannot enforce completely."""

    REFUSE = "refuse"
    CHECK = "check"


@dataclass(frozen=True)
class ConstraintChoice:
    """What an answer must be; at most one of these. Raises UsageError with the place for a faulty one."""

    grammar: Annotated[
        str | None,
        Option("--grammar", metavar="GBNF", help="Constrain the output to a GBNF grammar, given as text or by "
               "name: arithmetic, c, chess, json, json_array, list."),
    ] = None  # fmt: skip
    grammar_file: Annotated[
        Path | None, Option("--grammar-file", metavar="FILE", help="The same, with the grammar in a file.")
    ] = None
    json_schema: Annotated[
        str | None,
        Option(
            "--json-schema", "-j", metavar="SCHEMA", help="Constrain the output to JSON that satisfies this schema."
        ),
    ] = None
    json_schema_file: Annotated[
        Path | None, Option("--json-schema-file", "-jf", metavar="FILE", help="The same, with the schema in a file.")
    ] = None
    json: Annotated[bool, Option("--json", help="Constrain the output to any JSON value.")] = False
    schema_unenforced: Annotated[
        Unenforced,
        Option("--schema-unenforced", help="For a schema with keywords that a grammar cannot enforce: refuse the "
               "schema, or check the finished answer against it (exit code 6 if it fails)."),
    ] = Unenforced.REFUSE  # fmt: skip

    def __post_init__(self) -> None:
        _ = self.source

    @cached_property
    def source(self) -> "GrammarSource | None":
        """The grammar, parsed and checked; None where none was given. Raises UsageError."""
        given = [item.name for item in fields(self) if getattr(self, item.name) not in (None, False)]
        given = [name for name in given if name != "schema_unenforced"]
        if not given:
            return None
        try:
            return self._parsed()
        except UsageError as error:
            error.settings = (given[0],)
            raise

    def _parsed(self) -> "GrammarSource":
        from llamachat.engine.grammar import GrammarSource  # numpy, which --help does without

        if self.grammar is not None:
            try:
                return GrammarSource.gbnf(self.grammar, "--grammar")
            except UsageError as error:
                raise _for_file(error, self.grammar, "--grammar-file") from None
        if self.grammar_file is not None:
            return GrammarSource.of_file("gbnf", self.grammar_file)
        if self.json_schema is None and self.json_schema_file is None:
            return GrammarSource.json_schema()
        try:
            return self._schema(self.schema_unenforced)
        except UsageError as error:
            if self.schema_unenforced is Unenforced.CHECK or not self._can_be_checked():
                raise _for_file(error, self.json_schema, "--json-schema-file") from None
            hint = "--schema-unenforced check enforces the rest, and checks the finished answer"
            raise UsageError(f"{error}; {hint}", error.excerpt) from error

    def _schema(self, unenforced: Unenforced) -> "GrammarSource":
        from llamachat.engine.grammar import GrammarSource

        if self.json_schema is not None:
            return GrammarSource.json_schema(self.json_schema, "--json-schema", unenforced.value)
        assert self.json_schema_file is not None
        return GrammarSource.of_file("json-schema", self.json_schema_file, unenforced.value)

    def _can_be_checked(self) -> bool:
        """Whether the schema is one, though a grammar cannot enforce all of it."""
        try:
            self._schema(Unenforced.CHECK)
        except UsageError:
            return False
        return True


def _for_file(error: UsageError, text: str | None, option: str) -> UsageError:
    """The error of a text; where it looks like the name of a file, with the option that takes one."""
    if text is None or not _FILE_NAME.fullmatch(text.strip()):
        return error
    return UsageError(f"{error}; {option} takes a file", error.excerpt)
