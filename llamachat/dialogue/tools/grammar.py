"""What calls must be, once a model begins one: a grammar that becomes active after the marks of its format."""

import json
from collections.abc import Sequence

from llamachat.dialogue.tools.choice import Dialect
from llamachat.dialogue.tools.definition import Tool
from llamachat.engine.grammar import GrammarSource, LazyGrammar


def call_grammar(dialect: Dialect, tools: Sequence[Tool]) -> LazyGrammar:
    """The grammar of calls, inactive in thoughts. Raises UsageError for parameters that cannot be enforced."""
    for tool in tools:
        GrammarSource.json_schema(json.dumps(tool.parameters), f"the tool {tool.name}")
    triggers = tuple(
        (mark, GrammarSource.json_schema(json.dumps(schema), "the tools"))
        for mark, schema in dialect.form.triggers(tools)
    )
    thought = (dialect.thought.opening, dialect.thought.closing) if dialect.thought is not None else None
    return LazyGrammar(triggers, dialect.form.at_start, thought, dialect.inside)
