"""The grammars of calls, whose parameters are documents with definitions of their own."""

import json

import pytest
from byte_vocabulary import ByteVocabulary

from llamachat.dialogue.tools.definition import Tool
from llamachat.dialogue.tools.formats import FORMATS
from llamachat.engine.grammar import GrammarSource

BY_NAME = {one.name: one for one in FORMATS}


@pytest.mark.parametrize("form", ["hermes", "llama3", "apertus", "mistral-args"])
def test_references_of_a_tool_s_parameters_lead_to_its_own_definitions(form):
    tools = [
        Tool(name, parameters={"type": "object", "properties": {"x": {"$ref": "#/$defs/x"}}, "$defs": {"x": x}})
        for name, x in (("one", {"const": 1}), ("two #/é", {"const": 2}))
    ]
    schemas = [json.dumps(schema) for _, schema in BY_NAME[form].triggers(tools)]
    grammars = [GrammarSource.json_schema(one).constraint(ByteVocabulary()) for one in schemas]
    for name, x, is_right in (("one", 1, True), ("two #/é", 2, True), ("one", 2, False), ("two #/é", 1, False)):
        given = {"x": x}
        call = {"name": name, "parameters" if form == "llama3" else "arguments": given}
        said = {"apertus": [{name: given}], "mistral-args": given}.get(form, call)
        number = [tool.name for tool in tools].index(name) if form == "mistral-args" else 0
        assert grammars[number].accepts(json.dumps(said, ensure_ascii=False)) == is_right
