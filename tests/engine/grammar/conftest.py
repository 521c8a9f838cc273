"""Constraints over the vocabulary of bytes, from grammars and schemas in one line."""

from collections.abc import Callable

import pytest
from byte_vocabulary import ByteVocabulary

from llamachat.engine.grammar import Constraint, GrammarSource


@pytest.fixture(scope="session")
def vocabulary() -> ByteVocabulary:
    return ByteVocabulary()


@pytest.fixture(scope="session")
def gbnf(vocabulary: ByteVocabulary) -> Callable[[str], Constraint]:
    """The constraint of a grammar's text or name."""
    return lambda text: GrammarSource.gbnf(text).constraint(vocabulary)


@pytest.fixture(scope="session")
def schema(vocabulary: ByteVocabulary) -> Callable[[str], Constraint]:
    """The constraint of a schema's text."""
    return lambda text: GrammarSource.json_schema(text).constraint(vocabulary)
