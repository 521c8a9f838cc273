"""Models whose scores are no numbers: an answer ends with a sentence, and nothing is chosen."""

from collections.abc import Sequence

import numpy as np
import pytest
from letters import Letters

from llamachat.engine.answering import Answering, GenerationOptions
from llamachat.errors import ModelFileError


@pytest.mark.parametrize("row", [[0, np.nan, 1], [np.inf, 0, 1], [-np.inf, np.nan, np.inf], [np.nan] * 3])
def test_scores_that_are_no_numbers_end_the_answer_with_a_sentence(row: Sequence[float]) -> None:
    answering = Answering(Letters(3), GenerationOptions(), [0])
    with pytest.raises(ModelFileError, match="scores are not numbers"):
        answering.choose(np.array(row, np.float32))
    assert answering.token == -1


def test_a_score_of_minus_infinity_is_an_impossible_token() -> None:
    answering = Answering(Letters(3), GenerationOptions(), [0])
    token = answering.choose(np.array([-np.inf, 5, -np.inf], np.float32))
    assert token is not None
    assert token.id == 1
