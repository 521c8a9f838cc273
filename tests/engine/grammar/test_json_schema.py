"""Every keyword that is accepted is enforced; every other one, and every value that is not enforced, is refused."""

import json

import pytest

from llamachat.engine.grammar import GrammarSource
from llamachat.engine.grammar.json_schema import schema_grammar
from llamachat.engine.grammar.schema_keywords import ANNOTATIONS, KEYWORDS
from llamachat.errors import UsageError

# keyword: (schema, texts that satisfy it, texts that do not).
ENFORCED = {
    "$ref": ({"$ref": "#/$defs/a~1b%25", "$defs": {"a/b%": {"type": "null"}}}, ["null"], ["1", "{}"]),
    "$defs": ({"items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"const": 1}}}, ["[1,1]", "[]"], ["[2]"]),
    "definitions": ({"items": {"$ref": "#/definitions/n"}, "definitions": {"n": {"const": 1}}}, ["[1]"], ["[2]"]),
    "type": ({"type": ["integer", "null"]}, ["1", "-7", "null"], ["1.5", '"1"', "true", "[]", "{}"]),
    "const": ({"const": {"a": [1, "x"]}}, ['{"a": [1, "x"]}'], ['{"a": [1]}', '{"a": [1, "y"]}', "{}"]),
    "enum": ({"enum": [1, 12, "a", None]}, ["1", "12", '"a"', "null"], ["2", '"b"', "121", "true"]),
    "allOf": ({"allOf": [{"minimum": 3}, {"maximum": 5, "type": "integer"}]}, ["3", "5"], ["2", "6", "null"]),
    "anyOf": ({"anyOf": [{"type": "null"}, {"maxLength": 1, "type": "string"}]}, ["null", '"a"'], ['"ab"', "1"]),
    "oneOf": ({"oneOf": [{"type": "null"}, {"maxLength": 1, "type": "string"}]}, ["null", '"a"'], ['"ab"', "1"]),
    "items": ({"items": {"type": "integer"}}, ["[]", "[1, 2]", "null"], ['["a"]', "[1, null]"]),
    "prefixItems": ({"prefixItems": [{"type": "null"}], "items": False}, ["[]", "[null]"], ["[1]", "[null, 1]"]),
    "additionalItems": (
        {"items": [{"type": "null"}], "additionalItems": {"const": 1}},
        ["[null, 1]"],
        ["[null, 2]", "[1]"],
    ),
    "minItems": ({"minItems": 2, "type": "array"}, ["[1, 2]", "[1, 2, 3]"], ["[]", "[1]"]),
    "maxItems": ({"maxItems": 1, "type": "array"}, ["[]", "[1]"], ["[1, 2]"]),
    "properties": (
        {"properties": {"a": {"type": "null"}}},
        ["{}", '{"a": null}', '{"b": 1}'],
        ['{"a": 1}', r'{"\u0061": 1}'],
    ),
    "patternProperties": ({"patternProperties": {"^a": {"type": "null"}}}, ['{"ab": null}', '{"b": 1}'], ['{"ab": 1}']),
    "additionalProperties": (
        {"properties": {"a": {}}, "additionalProperties": {"type": "null"}},
        ['{"a": 1, "b": null}'],
        ['{"b": 1}'],
    ),
    "required": ({"required": ["a"], "type": "object"}, ['{"a": 1}'], ["{}", '{"b": 1}']),
    "minProperties": ({"minProperties": 1, "type": "object"}, ['{"a": 1}'], ["{}"]),
    "maxProperties": ({"maxProperties": 1, "type": "object"}, ["{}", '{"a": 1}'], ['{"a": 1, "b": 2}']),
    "minLength": ({"minLength": 2, "type": "string"}, ['"éé"', '"\\n\\n"'], ['"a"', '""', '"é"']),
    "maxLength": ({"maxLength": 2, "type": "string"}, ['"😀é"', '""'], ['"abc"']),
    "pattern": ({"pattern": "^a|b$", "type": "string"}, ['"ax"', '"xb"'], ['"xa"', '"bx"', '""']),
    "format": ({"format": "date", "type": "string"}, ['"2024-02-29"'], ['"2024-02-30"', '"24-01-01"', '""']),
    "minimum": ({"minimum": -1.5, "type": "number"}, ["-1.5", "0", "7"], ["-1.51", "-2"]),
    "maximum": ({"maximum": 10, "type": "integer"}, ["10", "-99"], ["11", "100"]),
    "exclusiveMinimum": ({"exclusiveMinimum": 0, "type": "number"}, ["0.1", "1"], ["0", "0.0", "-1"]),
    "exclusiveMaximum": ({"exclusiveMaximum": 10, "type": "integer"}, ["9"], ["10", "11"]),
    "multipleOf": ({"multipleOf": 0.25, "type": "number"}, ["0.75", "2", "-0.25"], ["0.3", "1.1"]),
    "not": ({"not": {"enum": ["ab", 3, None]}}, ['""', '"a"', '"abc"', '"b"', "2.5", "4", "true", "[]"],
            ['"ab"', "3", "null"]),
    "if": ({"if": {"minimum": 5}, "then": {"multipleOf": 2}, "else": {"maximum": 1}}, ["6", "1", '"a"'], ["7", "3"]),
    "then": ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, ["{}", '{"b": 2, "a": 1}', '{"b": 1}', "3"],
             ['{"a": 1}']),
    "else": ({"if": {"type": "string"}, "else": {"type": "null"}}, ['"a"', "null"], ["1", "[]"]),
    "contains": ({"contains": {"const": 5}, "maxItems": 3}, ["[5]", "[1, 2, 5]", "[5, 5, 1]", '"a"'],
                 ["[]", "[1, 2, 3]"]),
    "minContains": ({"contains": {"const": 5}, "minContains": 2, "maxItems": 3}, ["[5, 1, 5]"], ["[5]", "[1, 5, 6]"]),
    "maxContains": ({"contains": {"const": 5}, "maxContains": 1, "maxItems": 3}, ["[5]", "[1, 5]", "[1, 2, 5]"],
                    ["[5, 5]", "[1]", "[]", "[5, 1, 5]"]),
    "uniqueItems": ({"uniqueItems": True, "items": {"enum": [1, "a", None]}}, ["[]", '[null, 1, "a"]', "3"],
                    ["[1, 1]", '["a", 1, "a"]']),
    "propertyNames": ({"propertyNames": {"pattern": "^a"}, "additionalProperties": {"type": "null"}}, ['{"ab": null}'],
                      ['{"b": null}', '{"a": 1}']),
    "dependentRequired": ({"dependentRequired": {"a": ["b"]}}, ["{}", '{"b": 2, "a": 1}', '{"b": 1}', "1"],
                          ['{"a": 1}']),
    "dependentSchemas": ({"dependentSchemas": {"a": {"properties": {"b": False}}}}, ['{"a": 1}', '{"b": 1}'],
                         ['{"a": 1, "b": 1}', '{"b": 1, "a": 1}']),
    "dependencies": ({"dependencies": {"a": ["b"], "c": {"maxProperties": 1}}}, ['{"c": 1}', '{"b": 1, "a": 2}'],
                     ['{"a": 1}', '{"c": 1, "d": 2}']),
    "unevaluatedProperties": (
        {"properties": {"a": {}}, "anyOf": [{"properties": {"b": {"type": "null"}}}, {"required": ["a"]}],
         "unevaluatedProperties": False},
        ["{}", '{"a": 1, "b": null}', '{"b": null}', '{"a": 1}'],
        ['{"c": 1}', '{"a": 1, "b": 2}', '{"b": 3}'],
    ),
    "unevaluatedItems": ({"allOf": [{"prefixItems": [True, {"type": "null"}]}], "unevaluatedItems": {"type": "string"}},
                         ["[1]", '[1, null, "a"]'], ["[1, 2]", "[1, null, 3]"]),
}  # fmt: skip


def test_every_accepted_keyword_has_a_case():
    assert set(ENFORCED) == set(KEYWORDS)


@pytest.mark.parametrize("keyword", ENFORCED)
def test_an_accepted_keyword_is_enforced(schema, keyword):
    document, good, bad = ENFORCED[keyword]
    assert keyword in json.dumps(document)
    constraint = schema(json.dumps(document))
    assert [text for text in good if not constraint.accepts(text)] == []
    assert [text for text in bad if constraint.accepts(text)] == []


@pytest.mark.parametrize(
    ("document", "good", "bad"),
    [
        ({"contains": {"const": 5}, "maxItems": 0}, ["3", '"a"', "{}"], ["[]", "[5]"]),
        ({"contains": {"const": 5}, "minContains": 3, "maxItems": 2}, ["null"], ["[5, 5]"]),
        ({"dependentSchemas": {"b": {"items": True}}, "unevaluatedItems": False}, ["[]", '{"b": 1}'], ["[1]"]),
        ({"not": {"contains": {"const": 5}, "items": False}}, ["[]", "[5]"], ["3"]),
    ],
)
def test_what_a_keyword_says_of_arrays_says_nothing_of_others(schema, document, good, bad):
    constraint = schema(json.dumps(document))
    assert [text for text in good if not constraint.accepts(text)] == []
    assert [text for text in bad if constraint.accepts(text)] == []


def test_annotations_change_nothing():
    plain = schema_grammar('{"type": "null"}', "schema")
    notes = dict.fromkeys(ANNOTATIONS - {"$schema"}, "whatever") | {
        "$schema": "http://json-schema.org/draft-07/schema#"
    }
    assert schema_grammar(json.dumps({**notes, "type": "null", "x-order": [1]}), "schema") == plain


REFUSED = [
    *(
        pytest.param(
            {"properties": {"a/b": {keyword: 1}}},
            f"at #/properties/a~1b/{keyword}: the keyword {keyword!r} is not",
            id=keyword,
        )
        for keyword in (
            "nullable",
            "minlength",
            "$recursiveRef",
            "$vocabulary",
            "x-guidance",
        )
    ),
    pytest.param(
        {"items": {"$ref": "http://example.com/a"}}, "at #/items/$ref: $ref leads to another document", id="remote"
    ),
    pytest.param({"$ref": "other.json#/a"}, "$ref leads to another document", id="other file"),
    pytest.param({"$ref": "#name"}, "$ref leads to an anchor that is not there", id="anchor"),
    pytest.param({"$ref": "#/$defs/a"}, "at #/$defs/a: nothing stands where a $ref leads to", id="nowhere"),
    pytest.param({"$ref": "#/$defs/a", "$defs": {"a": 5}}, "at #/$defs/a: a schema is an object", id="no schema"),
    pytest.param(
        {"$ref": "#/$defs/a", "$defs": {"a": {"minlength": 1}}}, "at #/$defs/a/minlength: the", id="in a definition"
    ),
    pytest.param({"$ref": "#"}, "at #: nothing finite satisfies", id="itself"),
    pytest.param(
        {
            "anyOf": [{"type": "null"}, {"$ref": "#/$defs/a"}],
            "$defs": {"a": {"type": "object", "properties": {"b": {"$ref": "#/$defs/a"}}, "required": ["b"]}},
        },
        "at #/$defs/a: nothing finite satisfies",
        id="endless",
    ),
    pytest.param({"type": "strng"}, "at #/type: type must be one or more of null", id="type"),
    pytest.param({"type": []}, "at #/type: type must be one or more", id="no type"),
    pytest.param({"enum": []}, "at #/enum: enum must be a list of values", id="empty enum"),
    pytest.param({"minLength": -1}, "at #/minLength: minLength must be a whole number", id="negative length"),
    pytest.param({"maxLength": 10**9}, "at #/maxLength: maxLength is supported up to 100000", id="huge length"),
    pytest.param({"maxItems": 10**9}, "at #/maxItems: maxItems is supported up to 1000", id="huge count"),
    pytest.param({"minProperties": 2}, "at #/minProperties: minProperties above 1", id="names may come twice"),
    pytest.param({"minimum": "1"}, "at #/minimum: minimum must be a number", id="text for a number"),
    pytest.param(
        {"type": "number", "exclusiveMinimum": 1.0, "maximum": 1.25}, "is not enforced exactly", id="near bounds"
    ),
    pytest.param({"maximum": 10**20}, "at #/maximum: maximum has a number beyond 2^53", id="huge bound"),
    pytest.param(
        {"minimum": 1, "exclusiveMinimum": True},
        "at #/exclusiveMinimum: exclusiveMinimum as true or false",
        id="draft 4",
    ),
    pytest.param({"enum": [1, [{"a": 10**20}]]}, "at #/enum: enum has a number beyond 2^53", id="huge constant"),
    pytest.param({"const": 123456789.12345679}, "at #/const: const has a number of more than 15", id="17 digits"),
    pytest.param({"enum": [[0.5, {"a": 1.5e-25}]]}, "at #/enum: enum has a number of more than 15", id="26 places"),
    pytest.param({"maximum": 123456789.12345679}, "maximum has a number of more than 15", id="bound of 17 digits"),
    pytest.param({"exclusiveMinimum": 0.1 + 0.2}, "has a number of more than 15", id="sum of floats"),
    pytest.param({"multipleOf": 1000003}, "multipleOf is supported up to 10000", id="multiple of a large prime"),
    pytest.param({"multipleOf": 8192000}, "up to 10000", id="multiple with zeros"),
    pytest.param({"multipleOf": 1000.003}, "not 1000003", id="multiple with decimal places"),
    pytest.param(
        {"prefixItems": [{"multipleOf": 997}, {"multipleOf": 991}]},
        "at #/prefixItems/1/multipleOf: multipleOf is supported up to 10000",
        id="multiples together",
    ),
    pytest.param(
        {"allOf": [{"multipleOf": 1000000}, {"multipleOf": 1000000}]}, "up to 10000", id="multiples beyond 32 bits"
    ),
    pytest.param(
        {"$ref": "c#/$defs/b", "$defs": {"a": {"$id": "c"}, "b": {}}},
        "at #/$defs/a/$defs/b: nothing",
        id="another base",
    ),
    pytest.param({"$schema": "http://a/b"}, "at #/$schema: the dialect 'http://a/b' is not known", id="dialect"),
    pytest.param(
        {
            "$ref": "a",
            "$defs": {
                "1": {"$dynamicAnchor": "x"},
                "2": {"$id": "a", "$dynamicRef": "#x", "$defs": {"3": {"$dynamicAnchor": "x"}}},
            },
        },
        "at #/$defs/2/$dynamicRef: $dynamicRef with several",
        id="dynamic",
    ),
    pytest.param({"not": {"pattern": "a"}}, "at #/not: not: the opposite of 'pattern' cannot", id="not a pattern"),
    pytest.param(
        {"if": {"multipleOf": 3}, "then": False}, "at #/if: if: the opposite of 'multipleOf'", id="if multiple"
    ),
    pytest.param({"contains": {"const": 1}}, "at #/contains: contains: without maxItems is not", id="contains"),
    pytest.param({"uniqueItems": True}, "at #/uniqueItems: uniqueItems: is supported only where", id="unique"),
    pytest.param({"uniqueItems": True, "items": {"enum": list(range(30))}}, "too many arrays", id="many arrays"),
    pytest.param({"propertyNames": {"not": {"const": "a"}}}, "at #/propertyNames: propertyNames: is sup", id="names"),
    pytest.param({"not": {"type": "strng"}}, "at #/not: not: there is no type 'strng'", id="no type in not"),
    pytest.param({"not": {"minLength": "1"}}, "at #/not: not holds what is no schema", id="no schema in not"),
    pytest.param({"not": {"const": {"a": 1}}}, "of an object that is not empty", id="not an object"),
    pytest.param({"const": "a\x01"}, "at #/const: const has U+0001 in 'a", id="control character"),
    pytest.param({"enum": [{"a\x7f": 1}]}, "at #/enum: enum has U+007F", id="name with delete"),
    pytest.param({"properties": {"\x00": {}}}, "at #/properties: properties has U+0000", id="property's name"),
    pytest.param({"required": ["\x1f"]}, "at #/required: required has U+001F", id="required name"),
    pytest.param({"enum": [[[["\ud800"]]]]}, "at #/enum: enum has U+D800", id="half a character"),
    pytest.param(
        {"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "pattern": "^\x01$"}}},
        "required property 'a' is unsatisfiable",
        id="a pattern that nothing has",
    ),
    pytest.param(
        {"$ref": "#/$defs/q", "$defs": {"q": {"anyOf": [False, {"$ref": "#/$defs/q"}]}}}, "satisf", id="cycle"
    ),
    pytest.param({"multipleOf": 0}, "at #/multipleOf: multipleOf must be above 0", id="multiple of nothing"),
    pytest.param({"format": "regex"}, "at #/format: format 'regex' is not supported; supported are date,", id="format"),
    pytest.param({"items": [{}], "prefixItems": [{}]}, "at #/items: items as a list is the older form", id="two forms"),
    pytest.param({"additionalItems": {}}, "at #/additionalItems: additionalItems means something only", id="no tuple"),
    pytest.param({"items": {"pattern": "(?=a)"}}, "at #/items/pattern: pattern '(?=a)'", id="look-around"),
    pytest.param(
        {"items": {"oneOf": [{"type": "number"}, {"type": "integer"}]}},
        "at #/items/oneOf: oneOf is supported only where",
        id="overlap",
    ),
    pytest.param(
        {"items": {"type": "integer", "minimum": 5, "maximum": 4}, "minItems": 1, "type": "array"},
        "at #/items: ",
        id="nothing",
    ),
    pytest.param(False, "at #: Unsatisfiable schema", id="false"),
    pytest.param([1], "at #: a schema is an object, true or false", id="list"),
    pytest.param(
        {
            "$ref": "#/$defs/0",
            "$defs": {str(i): {"items": {"$ref": f"#/$defs/{i + 1}"}} for i in range(900)} | {"900": {}},
        },
        "more than 400 levels",
        id="long chain",
    ),
]


@pytest.mark.parametrize(("document", "message"), REFUSED)
def test_what_is_not_enforced_is_refused_with_its_name_and_place(document, message):
    with pytest.raises(UsageError) as caught:
        schema_grammar(json.dumps(document), "my.json")
    assert str(caught.value).startswith("my.json: at #")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('{"a": }', "my.json:1:7: this is not JSON: Expecting value", id="syntax"),
        pytest.param("", "my.json:1:1: this is not JSON", id="empty"),
        pytest.param('{"type": "null", "type": "string"}', "the name 'type' stands twice", id="twice"),
        pytest.param('{"minimum": NaN}', "NaN is not a JSON number", id="NaN"),
        pytest.param('{"not":' * 100_000, "it nests too deep", id="deep"),
        pytest.param('{"items":' * 100 + "{}" + "}" * 100, "schemas nest deeper than 64", id="deep schema"),
        pytest.param(" " * 1_000_001, "at most 1000000 characters", id="long"),
    ],
)
def test_a_text_that_is_no_schema_is_told(text, message):
    with pytest.raises(UsageError) as caught:
        schema_grammar(text, "my.json")
    assert message in str(caught.value)


def test_a_fault_of_syntax_is_shown():
    with pytest.raises(UsageError) as caught:
        schema_grammar('{"a": }', "my.json")
    assert caught.value.excerpt == ('{"a": }', "      ^")


def test_an_id_at_the_root_and_a_property_of_this_name_change_nothing(schema):
    document = {"$id": "http://a/b", "properties": {"$id": {"type": "null"}, "x": {"$ref": "#/properties/$id"}}}
    constraint = schema(json.dumps(document))
    assert constraint.accepts('{"$id": null, "x": null}')
    assert not constraint.accepts('{"$id": null, "x": 1}')


def test_multiples_that_real_schemas_have_are_enforced(schema):
    steps = (0.01, 0.25, 5, 12, 60, 1000, 1000000, 9.9e7)
    constraint = schema(json.dumps({"prefixItems": [{"type": "number", "multipleOf": step} for step in steps]}))
    assert constraint.accepts("[0.07, 0.75, 10, 24, 120, 3000, 5000000, 99000000]")
    assert not constraint.accepts("[0.075]")


def test_any_json_is_the_default(vocabulary):
    constraint = GrammarSource.json_schema().constraint(vocabulary)
    assert all(constraint.accepts(text) for text in ("null", "-0.5e3", '"é"', "[]", '{"a": [{}]}', '{\n  "a": 1\n}'))
    assert not any(constraint.accepts(text) for text in ("", "nul", "01", "[1,]", "{} ", "'a'"))


def test_white_space_is_one_blank_or_one_new_line_with_indentation(schema):
    constraint = schema('{"type": "array"}')
    assert all(constraint.accepts(text) for text in ("[1,2]", "[ 1, 2 ]", "[\n    1,\n    2\n]"))
    assert not any(constraint.is_prefix(text) for text in ("[  ", "[\n\n", "[\t", " [", "[1] ", "[\n" + " " * 33))


def test_a_tree_of_references_is_followed(schema):
    tree = {"$ref": "#/$defs/node", "$defs": {"node": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}
    constraint = schema(json.dumps(tree))
    assert constraint.accepts("[[],[[],[]]]")
    assert not constraint.accepts("[1]")


@pytest.mark.parametrize(
    ("document", "good", "bad"),
    [
        pytest.param({"$ref": "#a", "$defs": {"b": {"$anchor": "a", "type": "null"}}}, "null", "1", id="anchor"),
        pytest.param({"$ref": "http://x", "$defs": {"b": {"$id": "http://x", "type": "null"}}}, "null", "1", id="id"),
        pytest.param(
            {"$id": "http://x/a/b", "$ref": "c#d", "$defs": {"e": {"$id": "/a/c", "$defs": {"f": {"$anchor": "d",
             "type": "null"}}}}},
            "null", "1", id="both",
        ),
        pytest.param(
            {"items": {"$dynamicRef": "#t"}, "$defs": {"t": {"$dynamicAnchor": "t", "type": "null"}}}, "[null]", "[1]",
            id="dynamic",
        ),
        pytest.param(
            {"enum": [{"$ref": "#/$defs/a"}], "$defs": {"a": True}}, '{"$ref": "#/$defs/a"}', "1", id="a value"
        ),
        pytest.param(
            {"properties": {"$ref": {"const": {"$id": "x", "$anchor": "y"}}}}, '{"$ref": {"$id": "x", "$anchor": "y"}}',
            '{"$ref": 1}', id="a name",
        ),
        pytest.param({"properties": {"a": {"$ref": "#/$defs/no"}}, "$defs": {"no": False}}, '{"b": 1}', '{"a": 1}',
                     id="never"),
        pytest.param(
            {"oneOf": [{"required": ["a"], "properties": {"a": {"type": "null"}}}, {"required": ["b"]}]}, '{"b": 1}',
            '{"a": null, "b": 1}', id="one of two",
        ),
        pytest.param({"type": "string", "not": {"enum": ["", "a", "ab", "b\n"]}}, '"abc"', '"ab"', id="other texts"),
        pytest.param({"maxItems": 2.0, "minLength": 1.0}, "[1, 2]", "[1, 2, 3]", id="whole numbers with a fraction"),
        pytest.param({"pattern": "^\\p{Letter}+$"}, '"é"', '"1"', id="a category's long name"),
    ],
)  # fmt: skip
def test_places_and_opposites(schema, document, good, bad):
    constraint = schema(json.dumps(document))
    assert constraint.accepts(good)
    assert not constraint.accepts(bad)
