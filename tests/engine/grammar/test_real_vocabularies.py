"""Real vocabularies: a text's own tokens are admitted one by one, control tokens never, end tokens only at the end."""

import numpy as np
import pytest

from llamachat.engine.grammar import GrammarSource
from llamachat.engine.sampling.candidates import Candidates
from llamachat.engine.tokenizers import Tokenizer

TEXT = '{"name": "Zoë 😀 <|im_end|>", "values": [1, -2.5e+3, true, null],\n  "日本": {}}'


@pytest.mark.real
@pytest.mark.parametrize("model", ["smollm2", "gemma3"])
@pytest.mark.parametrize("grammar", ["json", None])
def test_a_json_text_is_admitted_token_by_token(request, model, grammar):
    tokenizer = Tokenizer(request.getfixturevalue(model))
    source = GrammarSource.gbnf(grammar) if grammar else GrammarSource.json_schema()
    constraint = source.constraint(tokenizer)
    constraint.begin()
    silent = {token for token in range(tokenizer.n_vocab) if not tokenizer.piece_bytes(token)} - set(tokenizer.eog)
    assert silent
    for token in tokenizer.encode(TEXT, add_special=False):
        assert not constraint.finished
        candidates = Candidates(np.arange(tokenizer.n_vocab), np.zeros(tokenizer.n_vocab, np.float32))
        constraint.apply(candidates)
        admitted = set(candidates.ids[candidates.logits == 0].tolist())
        assert token in admitted
        assert not admitted & silent
        assert not admitted & set(tokenizer.eog)
        constraint.accept(token)
    assert constraint.complete
    assert constraint.finished
