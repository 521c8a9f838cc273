"""Everything that a dialogue reports has words on a terminal."""

import pytest

from llamachat.dialogue import notices
from llamachat.terminal.notices import sentence_of

SAID = [
    (notices.TurnsForgotten(1), "(the context is full: the oldest turn is forgotten)"),
    (notices.TurnsForgotten(3), "(the context is full: the oldest 3 turns are forgotten)"),
    (notices.Summarizing(1), "(the context is full: the oldest turn becomes a summary)"),
    (notices.Summarizing(2), "(the context is full: the oldest 2 turns become a summary)"),
    (notices.ToolCalled("f", {"a": "b\n"}), '-> f(a="b\\n")'),
    (notices.ToolReturned("so\x1b[2Jmany"), "<- somany"),
    (notices.CallUnreadable("no JSON\r"), "(not run: no JSON\\r)"),
    (notices.TooManyCalls(8), "(stopped: 8 answers in a row have called tools)"),
]


@pytest.mark.parametrize(("notice", "said"), SAID)
def test_what_is_said(notice, said):
    assert sentence_of(notice) == said


def test_every_notice_has_words():
    assert {type(notice) for notice, _ in SAID} == {*notices.Notice.__subclasses__()}
    with pytest.raises(NotImplementedError, match="Notice"):
        sentence_of(notices.Notice())
