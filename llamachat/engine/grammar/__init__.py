"""Output that obeys a grammar: GBNF and JSON schemas, turned into masks over the vocabulary by llguidance."""

from llamachat.engine.grammar.constraint import Constraint
from llamachat.engine.grammar.lazy import LazyGrammar
from llamachat.engine.grammar.source import GrammarSource

__all__ = ["Constraint", "GrammarSource", "LazyGrammar"]
