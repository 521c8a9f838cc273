"""The quiet line below the prompt."""

from dataclasses import replace

import pytest

from llamachat.engine.grammar import GrammarSource, LazyGrammar
from llamachat.session.chats import ChatStore
from llamachat.terminal.chat_status import short_name, status_of


def kept(chat, tmp_path, name=None):
    """The chat, in a file."""
    chat.conversation.store = ChatStore(tmp_path / "chats.db")
    chat.conversation.chat = chat.conversation.store.create("scripted", name)
    return chat


def bound(chat, grammar):
    chat.responder = replace(chat.responder, options=replace(chat.responder.options, grammar=grammar))
    return chat


def test_it_names_the_model_and_says_that_nothing_is_kept(make):
    chat = make()
    assert status_of(chat).split(" · ")[:2] == [short_name(chat.responder.model.title), "not saved"]


@pytest.mark.parametrize(("name", "shown"), [(None, "chat 1"), ("work", "work"), ("a" * 90, "a" * 23 + "…")])
def test_a_kept_chat_is_named_by_its_name_or_number(make, tmp_path, name, shown):
    assert status_of(kept(make(), tmp_path, name)).split(" · ")[1] == shown


@pytest.mark.parametrize(
    ("grammar", "shown"),
    [
        pytest.param(GrammarSource.json_schema(), "JSON", id="any JSON"),
        pytest.param(GrammarSource.json_schema('{"type": "string"}'), "JSON schema", id="schema"),
        pytest.param(GrammarSource.gbnf('root ::= "a"'), "grammar", id="GBNF"),
        pytest.param(LazyGrammar(GrammarSource.gbnf('root ::= "a"'), "<"), "tools", id="tools"),
    ],
)
def test_what_binds_the_answers_is_said(make, grammar, shown):
    assert status_of(make()).count(shown) == 0
    assert shown in status_of(bound(make(), grammar)).split(" · ")


@pytest.mark.parametrize(
    ("title", "shown"),
    [
        pytest.param("SmolLM2-135M-Instruct.Q4_1", "SmolLM2-135M", id="point"),
        pytest.param("gemma-3-270m-it-Q4_K_M", "gemma-3-270m", id="dash"),
        pytest.param("Llama-4-Scout-UD-IQ2_XXS-00001-of-00003", "Llama-4-Scout", id="part"),
        pytest.param("Q4_0", "Q4_0", id="nothing else"),
        pytest.param("evil\x1b]0;x\x07\n model", "evil model", id="control bytes"),
        pytest.param("漢字" * 20, "漢字漢字漢字漢字漢字漢…", id="wide"),
    ],
)
def test_a_models_short_name_has_no_details(title, shown):
    assert short_name(title) == shown
