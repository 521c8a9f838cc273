"""The options of grammars, checked before there is a model."""

from dataclasses import fields

import pytest

from llamachat.cli.constraint import ConstraintChoice, Unenforced
from llamachat.cli.groups import flattened
from llamachat.errors import UsageError


def test_without_an_option_there_is_no_grammar():
    assert ConstraintChoice().source is None


@pytest.mark.parametrize(
    ("options", "kind", "accepted"),
    [
        pytest.param({"grammar": 'root ::= "a"'}, "gbnf", 'root ::= "a"', id="grammar"),
        pytest.param({"json_schema": '{"type": "null"}'}, "json-schema", '{"type": "null"}', id="schema"),
        pytest.param({"json": True}, "json-schema", "{}", id="json"),
    ],
)
def test_an_option_becomes_a_source(options, kind, accepted):
    source = ConstraintChoice(**options).source
    assert (source.kind, source.text) == (kind, accepted)


@pytest.mark.parametrize(
    ("option", "kind", "text"), [("grammar_file", "gbnf", 'root ::= "a"'), ("json_schema_file", "json-schema", "{}")]
)
def test_a_file_becomes_a_source(tmp_path, option, kind, text):
    path = tmp_path / "file"
    path.write_text(text)
    source = ConstraintChoice(**{option: path}).source
    assert (source.kind, source.text, source.name) == (kind, text, "file")


def test_a_fault_names_the_option():
    with pytest.raises(UsageError, match=r"^--grammar:1:10: this literal is never closed"):
        ConstraintChoice(grammar='root ::= "a')
    with pytest.raises(UsageError, match=r"^--json-schema: at #/contains: contains: without maxItems is not supported"):
        ConstraintChoice(json_schema='{"type": "array", "contains": {"type": "string"}}')


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"json_schema": "nofile.json"}, "this is not JSON: Expecting value; --json-schema-file takes a file$"),
        ({"json_schema": "./schema"}, "; --json-schema-file takes a file$"),
        ({"json_schema": "a.json", "schema_unenforced": Unenforced.CHECK}, "; --json-schema-file takes a file$"),
        ({"grammar": "x.gbnf"}, "; --grammar-file takes a file$"),
        ({"grammar": "folder/x"}, "; --grammar-file takes a file$"),
        ({"json_schema": '{"a": "x.json}'}, "this is not JSON: (?!.*takes a file)"),
        ({"json_schema": "1.5"}, "^--json-schema(?!.*takes a file)"),
        ({"grammar": 'root ::= "a.json'}, "never closed$"),
    ],
)
def test_a_file_s_name_in_place_of_a_text_names_the_option_for_files(options, said):
    with pytest.raises(UsageError, match=said) as raised:
        ConstraintChoice(**options)
    assert raised.value.excerpt or "1.5" in options.values()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-j", "{}"], {"json_schema": "{}"}),
        (["-jf", "x.json"], {"json_schema_file": "x.json"}),
        (["--json"], {"json": True}),
        (["--grammar", "list"], {"grammar": "list"}),
    ],
)
def test_the_options_have_the_names_of_llama_cpp(arguments, expected, tmp_path, monkeypatch):
    import typer

    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.json").write_text("{}")
    seen = []
    app = typer.Typer()

    def command(constraint: ConstraintChoice) -> None:
        seen.append(constraint)

    app.command()(flattened(command))
    app(arguments, standalone_mode=False)
    given = {item.name: getattr(seen[0], item.name) for item in fields(seen[0]) if item.name != "schema_unenforced"}
    assert {name: str(value) if name.endswith("file") else value for name, value in given.items() if value} == expected
