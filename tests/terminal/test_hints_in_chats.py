"""What a chat adds to an error that names no command: how its settings are changed here."""

from types import SimpleNamespace

import pytest

from llamachat.errors import ContextFull, LlamaChatError, UsageError
from llamachat.terminal.commands.hints import hinted


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ContextFull("the context holds 8 tokens"), "the context holds 8 tokens: /set ctx_size"),
        (UsageError("no more", settings=("max_tokens",)), "no more: /set n_predict"),
        (LlamaChatError("none is left", settings=("logit_bias", "ignore_eos")),
         "none is left: /set logit_bias or /set ignore_eos"),
        (UsageError("give another template", settings=("chat_template", "tools")),
         "give another template: --chat-template"),
        (UsageError("temp must be from 0 to 1000, not -1", settings=("temp",)), "temp must be from 0 to 1000, not -1"),
        (LlamaChatError("anything else"), "anything else"),
        (OSError("no space left"), "no space left"),
    ],
)  # fmt: skip
def test_an_error_is_told_with_what_to_type(error, said):
    chat = SimpleNamespace(settings=SimpleNamespace(on_full="shift"), attached=[])
    assert hinted(error, chat) == said


def test_a_chat_that_is_too_long_may_be_shortened():
    chat = SimpleNamespace(settings=SimpleNamespace(on_full="stop"), attached=[("a.txt", "x")])
    said = hinted(ContextFull("full"), chat)
    assert said == "full: /undo or /new or /set ctx_size or /file - (takes the attached files back)"
