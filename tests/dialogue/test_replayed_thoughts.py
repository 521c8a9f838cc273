"""Answers of models that think: what is shown of them, and what later turns get."""

import pytest
from golden_data import needed

from llamachat.dialogue.thoughts import markers_of, replayed, split_thoughts, without_thoughts
from llamachat.templates.renderer import ChatTemplate

PLAIN = "{{ messages }} <think></think>"
SPLITTING = "{{ message.content.split('</think>') }} <think>"
LOOKING = "{% if '</think>' in content %}{% endif %} <think>"
NAMED = "{{ message.reasoning_content }} <think></think>"
THOUGHT = "<think>Hm.</think>\n\nYes."


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (THOUGHT, ("Hm.", "Yes.")),
        ("Hm.</think>Yes.", ("Hm.", "Yes.")),  # the prompt opened it
        ("<think>Hm, and", ("Hm, and", "")),
        ("Yes.", ("", "Yes.")),
        ("Yes: <think>no</think>", ("", "Yes: <think>no</think>")),
    ],
)
def test_a_thought_stands_before_the_answer(text, parts):
    assert split_thoughts(text, PLAIN) == parts
    assert without_thoughts(text, PLAIN) == parts[1]


def test_without_markers_all_is_said():
    assert without_thoughts(THOUGHT, "{{ messages }}") == THOUGHT


@pytest.mark.parametrize(
    ("template", "told"),
    [
        (SPLITTING, {"content": THOUGHT}),
        (LOOKING, {"content": THOUGHT}),
        (NAMED, {"content": "Yes.", "reasoning_content": "Hm."}),
        (PLAIN, {"content": "Yes."}),
    ],
)
def test_a_template_is_told_of_thoughts_as_it_asks_for_them(template, told):
    assert replayed(THOUGHT, template) == told


def test_an_answer_without_thoughts_is_told_as_it_is():
    assert replayed("\nYes.", PLAIN) == {"content": "\nYes."}


def test_no_real_template_reads_a_thought_as_an_answer(golden):
    seen = 0
    for path in sorted(needed(golden / "templates").glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        markers = markers_of(source)
        if markers is None:
            continue
        answer = f"{markers.opening}I wonder.{markers.closing}It is blue."
        talk = [{"role": "user", "content": "Which?"}, {"role": "assistant", **replayed(answer, source)},
                {"role": "user", "content": "Why?"}]  # fmt: skip
        text = ChatTemplate(source, "<s>", "</s>").render(talk)
        assert text.count("It is blue.") == 1, path.name
        assert text.count("I wonder.") <= 1, path.name
        if "I wonder." in text:  # it is still marked as one
            assert text.index(markers.opening.strip()) < text.index("I wonder."), path.name
        seen += 1
    assert seen > 10
