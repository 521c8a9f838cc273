"""The options that keep an answer inside a grammar or a JSON schema."""

from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from llamachat.errors import UsageError

if TYPE_CHECKING:
    from llamachat.engine.grammar import GrammarSource


@dataclass(frozen=True)
class ConstraintChoice:
    """What an answer must be; at most one of these. Raises UsageError for two, and with the place for a faulty one."""

    grammar: Annotated[
        str | None,
        Option("--grammar", metavar="GBNF", help="Keep the text inside a grammar, written out or one of these: "
               "arithmetic, c, chess, json, json_array, list."),
    ] = None  # fmt: skip
    grammar_file: Annotated[
        Path | None, Option("--grammar-file", metavar="FILE", help="The same, the grammar in a file.")
    ] = None
    json_schema: Annotated[
        str | None, Option("--json-schema", "-j", metavar="SCHEMA", help="Only JSON that satisfies this schema.")
    ] = None
    json_schema_file: Annotated[
        Path | None, Option("--json-schema-file", "-jf", metavar="FILE", help="The same, the schema in a file.")
    ] = None
    json: Annotated[bool, Option("--json", help="Only JSON, any value.")] = False

    def __post_init__(self) -> None:
        given = self._given()
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} exclude one another: give one of them")
        _ = self.source

    @cached_property
    def source(self) -> "GrammarSource | None":
        """The grammar, parsed and checked; None where none was given."""
        if not self._given():
            return None
        from llamachat.engine.grammar import GrammarSource  # numpy, which --help does without

        if self.grammar is not None:
            return GrammarSource.gbnf(self.grammar, "--grammar")
        if self.grammar_file is not None:
            return GrammarSource.of_file("gbnf", self.grammar_file)
        if self.json_schema is not None:
            return GrammarSource.json_schema(self.json_schema, "--json-schema")
        if self.json_schema_file is not None:
            return GrammarSource.of_file("json-schema", self.json_schema_file)
        return GrammarSource.json_schema()

    def _given(self) -> list[str]:
        return [f"--{f.name.replace('_', '-')}" for f in fields(self) if getattr(self, f.name) not in (None, False)]
