"""What is a person's in a rendering and what is the template's."""

import pytest

from llamachat.errors import LlamaChatError
from llamachat.templates.renderer import ChatTemplate

SPECIAL = ("<end>", "<think>")


def parts(source: str, *contents: object, **kwargs: object) -> list[tuple[str, bool]]:
    template = ChatTemplate(source)
    messages = [{"role": "user", "content": content} for content in contents]
    result = template.render_parts(messages, special_texts=SPECIAL, **kwargs)  # type: ignore[arg-type]
    assert "".join(text for text, _ in result) == template.render(messages, **kwargs)  # type: ignore[arg-type]
    return result


def joined(source: str) -> str:
    return "{% for m in messages %}" + source + "{% endfor %}"


@pytest.mark.parametrize(
    ("source", "contents", "expected"),
    [
        pytest.param("[{{ m.content }}]", ["<end>"], [("[", True), ("<end>", False), ("]", True)], id="plain"),
        pytest.param("{{ m.content | trim }}]", [" <end>\n"], [("<end>", False), ("]", True)], id="trimmed"),
        pytest.param("{{ m.content.strip() ~ '<end>' }}", [" a b "], [("a b", False), ("<end>", True)], id="stripped"),
        pytest.param("<{{ m.content | tojson }}>", ['a "b"\n'], [('<"', True), ('a \\"b', False), ('\\"\\n">', True)],
                     id="as JSON"),
        pytest.param("user:{{ m.content }};", ["user", "user:"],
                     [("user:", True), ("user", False), (";user:", True), ("user:", False), (";", True)],
                     id="a text that the template writes too"),
        pytest.param("{{ m.content }}.", ["é😀"], [("é😀", False), (".", True)], id="other scripts"),
        pytest.param("{{ m.content[0].text }}.", [[{"type": "text", "text": "a"}]], [("a", False), (".", True)],
                     id="content in a list"),
        pytest.param("{{ m.content.split('</t>')[-1] }}.", ["x</t>y<end>"], [("y<end>", False), (".", True)],
                     id="a template that splits"),
        pytest.param("{% if '<t>' in m.content %}!{% endif %}{{ m.content }}<t>", ["a<t>b"],
                     [("!", True), ("a<t>b<t>", False)], id="a template that looks inside"),
        pytest.param("{{ m.content | upper }}<end>", ["a"], [("A<end>", True)], id="changed, harmless"),
        pytest.param("{{ m.content | upper }}<end>", ["a<END>"], [("A<END>", True), ("<end>", False)],
                     id="changed, with a special text: none of these is special any more"),
        pytest.param("{{ m.content }}.", [""], [(".", True)], id="empty"),
        pytest.param("{{ m.content }}.", ["\U000f003cend\U000f003e<end>"],
                     [("\U000f003c", True), ("end\U000f003e<end>", False), (".", True)], id="private characters"),
        pytest.param("{{ m.content }}<end>", ["\U00020000<end>\U0002a6df\u200b."],
                     [("\U00020000<end>\U0002a6df\u200b.", False), ("<end>", True)], id="rare Chinese characters"),
        pytest.param("{{ [m.content] }}<end>", ["it's\n<end>"],
                     [('["', True), ("it's", False), ("\\n", True), ("<end>", False), ('"]<end>', True)],
                     id="as Python writes it"),
    ],
)  # fmt: skip
def test_every_character_has_its_origin(source: str, contents: list[object], expected: list[tuple[str, bool]]) -> None:
    assert parts(joined(source), *contents) == expected


def test_documents_and_tools_are_not_the_templates_own() -> None:
    found = parts("{{ documents[0].text }}|{{ tools[0] | tojson }}", documents=[{"text": "<end>"}], tools=["<end>"])
    assert found == [("<end>", False), ('|"', True), ("<end>", False), ('"', True)]


@pytest.mark.parametrize(
    "message",
    [{"content": [{"<end>": 1}]}, {"tool_calls": [{"<end>": 1}]}, {"tool_calls": [{"function": {"<end>": 1}}]}],
)
def test_a_key_is_not_the_templates_own_because_it_is_spelled_in_it(message: dict[str, object]) -> None:
    template = ChatTemplate("{{ messages | tojson }}{{ '<end>' }}")
    parts = template.render_parts([message], special_texts=SPECIAL)
    assert sum(text.count("<end>") for text, is_own in parts if is_own) == 1


def test_a_role_steers_the_template_and_is_its_own() -> None:
    assert parts(joined("{{ m.role }}{% if m.role == 'user' %}:{% endif %}{{ m.content }}"), "x") == [
        ("user:", True),
        ("x", False),
    ]


def test_without_special_texts_a_rendering_that_cannot_be_followed_is_all_a_persons() -> None:
    template = ChatTemplate("{{ messages[0].content | upper }}<end>")
    assert template.render_parts([{"role": "user", "content": "a"}]) == [("A<end>", False)]


def test_a_refused_conversation_is_refused_in_parts_too() -> None:
    with pytest.raises(LlamaChatError, match="refuses this conversation: no"):
        parts("{{ raise_exception('no') }}", "a")
