"""An answer under a grammar that is cut short: what a person gets begins a text of the grammar."""

import numpy as np
import pytest
from byte_vocabulary import ByteVocabulary

from llamachat.engine.answering import Answering, GenerationOptions
from llamachat.engine.grammar import GrammarSource
from llamachat.engine.sampling.options import SamplingOptions

GRAMMAR = GrammarSource.gbnf("root ::= [\U0001f418\U0001f992]+")
GREEDY = SamplingOptions(temp=0.0)


class Letters(ByteVocabulary):
    add_bos = False

    def encode(self, text, add_special=True):
        return list(text.encode())


def text_after(n_tokens, grammar, reason, **changes):
    """The text of an answer that goes on with the bytes of a giraffe and ends after some of them."""
    answering = Answering(Letters(), GenerationOptions(grammar=grammar, sampling=GREEDY, **changes), ())
    said = ""
    for byte in ("\U0001f992" * 3).encode()[:n_tokens]:
        logits = np.zeros(Letters().n_vocab, np.float32)
        logits[byte] = 9
        said += answering.choose(logits).text
    return said + answering.stop(reason).text


@pytest.mark.parametrize("reason", ["length", "context", "cancelled", "grammar"])
@pytest.mark.parametrize("n_tokens", range(9))
def test_a_text_that_is_cut_begins_one_of_the_grammar(n_tokens, reason):
    assert text_after(n_tokens, GRAMMAR, reason) == "\U0001f992" * (n_tokens // 4)


def test_what_a_stop_string_held_back_is_not_lost():
    assert text_after(6, GRAMMAR, "length", stop=("\U0001f992\U0001f418",)) == "\U0001f992"


def test_without_a_grammar_an_unfinished_character_is_shown():
    assert text_after(6, None, "length") == "\U0001f992\ufffd"
