"""Whatever the logits say, what is generated under a schema satisfies it, by the word of the package jsonschema."""

import json
from fractions import Fraction
from typing import Any

import jsonschema
from byte_vocabulary import ByteVocabulary
from format_checker import CHECKER
from generation import Generation
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from llamachat.engine.grammar import GrammarSource
from llamachat.engine.grammar.schema_formats import FORMATS
from llamachat.errors import UsageError

VOCABULARY = ByteVocabulary()
NAMES = st.sampled_from(["a", "b", "é", 'q"', "a b", "", "\\", "x1"])
PATTERNS = ["^a", "b$", "^[a-c]{2,3}$", "^a|b$", "x.y", "^\\d+$", "é", "^\\w*$", '"', "^\\s$", "(ab|b)+c?$", "^.$",
            "^[^a&-]$", "^[a-z&&[^b]]$", "^[[:alpha:]]$", "(?i)a", "^[\\d\\-x]+$"]  # fmt: skip
QUARTERS = st.integers(-40, 40).map(lambda n: n / 4)
LONG = st.floats(-1e9, 1e9) | st.builds(
    lambda n, places: n / 10**places, st.integers(-(10**16), 10**16), st.integers(0, 24)
)
NUMBERS = QUARTERS | LONG
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | NUMBERS | NAMES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=3,
)
ADVERSARIAL = st.lists(st.sampled_from([*b'"\\ue-+.0 19\n{[,:ab/\x00\x7f\xc3\xa9\xf0', *range(256, 268)]), max_size=4)


def exact(text: str) -> Fraction | int | float:
    """Fractions, so that 0.2999999999999999999 is below 0.3 for the validator too; floats where they would be long."""
    exponent = text.lower().partition("e")[2]
    if len(exponent) > 4 or int(exponent or "0") > 4000:
        return float(text)
    value = Fraction(text)
    return int(value) if value.denominator == 1 else value


def optional(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=strategies)


def typed(kind: str, **strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return optional(**strategies).map(lambda rest: {"type": kind, **rest})


SMALL = st.integers(0, 4)
ENUMS = st.lists(VALUES, min_size=1, max_size=3).map(lambda values: {"enum": values})
LEAVES = st.one_of(
    typed("string", format=st.sampled_from(FORMATS), maxLength=st.integers(10, 40)),
    typed("string", minLength=SMALL, maxLength=st.integers(1, 6), pattern=st.sampled_from(PATTERNS)),
    typed("integer", minimum=NUMBERS, maximum=NUMBERS),
    typed("integer", minimum=QUARTERS, maximum=QUARTERS, multipleOf=st.sampled_from([1, 2, 3, 7, 0.5])),
    typed("integer", exclusiveMinimum=QUARTERS, exclusiveMaximum=st.integers(-9, 999)),
    typed("number", minimum=NUMBERS, exclusiveMaximum=NUMBERS),
    typed("number", exclusiveMinimum=NUMBERS, maximum=NUMBERS),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["null", "integer"]}, {}, True]),
    st.sampled_from([{"minimum": 3, "maxLength": 2}, {"type": ["string", "boolean"], "minLength": 1}]),
    st.builds(lambda value: {"const": value}, VALUES),
    st.builds(lambda values: {"enum": values}, st.lists(VALUES, min_size=1, max_size=4)),
    st.just({"$ref": "#/$defs/leaf"}),
    st.just({"$ref": "#/$defs/tree"}),
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    schemas = st.lists(inner, min_size=1, max_size=3)
    properties = st.dictionaries(NAMES, inner, max_size=3)
    return st.one_of(
        typed(
            "object",
            properties=properties,
            required=st.lists(NAMES, max_size=2, unique=True),
            additionalProperties=inner | st.booleans(),
            minProperties=st.integers(0, 1),
            maxProperties=st.integers(0, 3),
        ),
        typed("object", patternProperties=st.dictionaries(st.sampled_from(["^x", "^y", "z$"]), inner, max_size=2),
              properties=properties, additionalProperties=inner | st.just(False)),
        optional(patternProperties=st.dictionaries(st.sampled_from(["^x", "^a", "b"]), inner, max_size=2),
                 allOf=schemas, properties=properties, additionalProperties=st.booleans()),
        st.fixed_dictionaries({"if": inner}, optional={"then": inner, "else": inner, "type": st.just("object")}),
        optional(**{"not": inner, "properties": properties, "type": st.sampled_from(["object", "string", "number"])}),
        optional(dependentRequired=st.dictionaries(NAMES, st.lists(NAMES, max_size=2, unique=True), max_size=2),
                 dependentSchemas=st.dictionaries(NAMES, inner, max_size=2), properties=properties),
        optional(propertyNames=LEAVES, unevaluatedProperties=inner | st.just(False), anyOf=schemas,
                 properties=properties),
        optional(contains=inner, minContains=SMALL, maxContains=SMALL, maxItems=st.integers(0, 3), items=inner),
        optional(prefixItems=schemas, oneOf=schemas, unevaluatedItems=inner | st.just(False)),
        optional(uniqueItems=st.booleans(), items=ENUMS, maxItems=SMALL),
        typed("array", items=inner, prefixItems=schemas, minItems=SMALL, maxItems=SMALL),
        optional(anyOf=schemas, properties=properties, required=st.lists(NAMES, max_size=1)),
        optional(allOf=schemas, additionalProperties=st.booleans(), properties=properties),
        optional(oneOf=schemas, items=inner, minLength=SMALL),
        st.builds(lambda one, other: {**(one if isinstance(one, dict) else {}), "allOf": [other]}, inner, inner),
    )  # fmt: skip


SCHEMAS = st.recursive(LEAVES, containers, max_leaves=6)


@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(SCHEMAS, LEAVES, st.integers(0, 2**32 - 1), st.integers(0, 60), ADVERSARIAL)
def test_a_finished_text_satisfies_its_schema_and_a_cut_one_begins_a_text_that_does(schema, leaf, seed, n, pushed):
    tree = {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2}
    document = {"allOf": [schema], "$defs": {"leaf": leaf, "tree": tree}}
    try:
        source = GrammarSource.json_schema(json.dumps(document))
    except UsageError:
        event("refused")
        assume(False)
    constraint = source.constraint(VOCABULARY)
    generation = Generation(constraint, VOCABULARY, seed)
    generation.run(n, pushed)
    if not generation.ended:
        assert constraint.is_prefix(generation.text)
    generation.run(600, closing=True)
    event("finished" if generation.ended else "still open")
    if generation.ended:
        assert constraint.accepts(generation.text)
        value = json.loads(generation.text.decode(), parse_float=exact)
        exactly = json.loads(json.dumps(document), parse_float=exact)
        validator = jsonschema.Draft202012Validator(exactly, format_checker=CHECKER)
        try:
            assert list(validator.iter_errors(value)) == []
        except RecursionError:
            assume(False)  # a schema that refers to itself for the same value, which the validator follows
    else:
        assert constraint.is_prefix(generation.text)
