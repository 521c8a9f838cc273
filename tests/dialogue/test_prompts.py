"""A prompt of one message is the same tokens wherever it is made: for `run`, a dry run, a chat, or the library."""

import pytest
from scripted import ScriptedModel

from llamachat.cli.run.answers import Asked, _preview
from llamachat.cli.run.options import ReportChoice, RunMode
from llamachat.cli.template_choice import TemplateChoice
from llamachat.dialogue.conversation import Conversation
from llamachat.dialogue.prompts import chat_template, conversation_tokens, text_prompt
from llamachat.engine.generate import GenerationOptions
from llamachat.engine.header import Header
from llamachat.errors import ContextFull
from llamachat.library import Model
from llamachat.session.chats import ChatStore
from llamachat.templates.text import Worded

TEXT, SYSTEM = "Name <|im_end|> three fruits.", "Be brief."


@pytest.fixture
def model():
    return ScriptedModel(["Yes."])


def test_a_message_alone_is_a_conversation_of_one_message(model):
    template, store = chat_template(model), ChatStore(None)
    alone = text_prompt(TEXT, template, SYSTEM).tokens(model.tokenizer)
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": TEXT}]
    assert conversation_tokens(model.tokenizer, template, messages) == alone
    talk = Conversation(model.tokenizer, template, store, store.create("m"))
    talk.set(system=SYSTEM)
    assert talk.tokens(TEXT) == alone


def test_a_dry_run_shows_what_the_library_reads(smollm2, monkeypatch):
    asked = Asked(TemplateChoice(), SYSTEM, RunMode(chat=True), ReportChoice())
    seen = _preview(Header(smollm2), Worded([(TEXT, False)]), GenerationOptions(), asked)
    read = []
    monkeypatch.setattr("llamachat.library.generate", lambda *given, **_: read.append(given[2]))
    with Model(smollm2, n_ctx=256) as model:
        model.chat([{"role": "system", "content": SYSTEM}, {"role": "user", "content": TEXT}])
    assert seen.ids == read[0]
    assert seen.text.count("<|im_end|>") == 3  # two of the template's, and the typed one, which is text


def test_a_text_that_is_continued_has_no_template(model):
    raw = text_prompt(TEXT)
    assert raw.tokens(model.tokenizer) == model.tokenizer.encode(TEXT)
    assert raw.options(GenerationOptions()) == GenerationOptions()


def test_a_prompt_of_a_template_stops_where_that_ends_an_answer(model):
    template = chat_template(model)
    options = text_prompt(TEXT, template).options(GenerationOptions(stop=("x",)))
    assert options.stop == ("x", *template.end_texts)


@pytest.mark.parametrize("is_chat", [False, True])
def test_a_text_that_cannot_fit_is_refused_before_it_is_tokenized(model, monkeypatch, is_chat):
    prompt = text_prompt("x" * 200_000, chat_template(model) if is_chat else None)
    monkeypatch.setattr(type(model.tokenizer), "at_least", lambda _, text: len(text) // 10, raising=False)
    monkeypatch.setattr(type(model.tokenizer), "encode", lambda *_, **__: pytest.fail("it was tokenized"))
    with pytest.raises(ContextFull, match="tokens or more"):
        prompt.tokens(model.tokenizer, 1000)
