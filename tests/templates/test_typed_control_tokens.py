"""A control token that somebody has typed never becomes one, and takes nothing from the template's own."""

import json
import os
import re

import golden_data
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from llamachat.errors import LlamaChatError
from llamachat.templates.named import builtin_names, builtin_template
from llamachat.templates.renderer import ChatTemplate

GOLDEN = golden_data.GOLDEN / "templates"
MARK = re.compile(r"<[|｜][^<>|｜\s]{2,40}[|｜]>|</?s>|\[/?[A-Z_]{3,20}\]|<(?:end|start)_of_\w+>|<\w+:eos>")
N_EXAMPLES = int(os.environ.get("LLAMACHAT_TYPED", "1"))
PLAIN = "harmless"

NAMES = ("city", "unit", "Zone", "a b", "ü", "id", "role", "x")
KEYWORDS = ("type", "name", "properties", "required", "description")
SORTING = ("google-gemma-4-31B-it", "google-gemma-4-31B-it-interleaved")
"""They sort names and leave those out that are keywords of schemas: such a name cannot be followed there."""

TOOLS = {path.stem: path.read_text("utf-8") for path in sorted(GOLDEN.glob("*.jinja"))}
TOOLS |= {name: builtin_template(name) for name in builtin_names()}
TOOLS = {name: source for name, source in TOOLS.items() if re.search(r"\btools?\b", source)}


def conversation(draw, typed, known):
    """Messages and tools in which some text, name, key or value is `typed`."""
    text = st.sampled_from(["hi", typed, f"a {typed}\nb", f'"{typed}"'])
    names = draw(st.lists(st.sampled_from(known), min_size=1, max_size=4, unique=True))
    if draw(st.booleans()):
        names.append(typed)
    kinds = st.sampled_from(["string", "integer", "array", "object"])
    properties = {name: {"type": draw(kinds), "description": draw(text)} for name in names}
    for schema in properties.values():
        if schema["type"] == "object":
            schema |= {"properties": {}, "additionalProperties": False}
        if schema["type"] == "array":
            schema["items"] = {"type": "string"}
    required = draw(st.lists(st.sampled_from(names), unique=True))
    parameters = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    name = draw(st.sampled_from(["find", f"find{typed}"]))
    tool = {"type": "function", "function": {"name": name, "description": draw(text), "parameters": parameters}}
    arguments = {one: draw(st.sampled_from([3, [draw(text)], {draw(text): draw(text)}, draw(text)])) for one in names}
    number = draw(st.sampled_from(["abcde1234", typed[:9].ljust(9, "x")]))
    call = {"id": number, "type": "function", "function": {"name": name, "arguments": arguments}}
    result = {"role": "tool", "name": name, "tool_call_id": number, "content": draw(text)}
    asked = {"role": "user", "content": draw(text)}
    called = [{"role": "assistant", "content": "", "tool_calls": [call]}, result] if draw(st.booleans()) else []
    return [asked, *called], [tool]


def specials(source):
    """Texts that the template writes itself, which look like control tokens."""
    template = ChatTemplate(source, "<s>", "</s>")
    tool = {"type": "function", "function": {"name": "f", "description": "", "parameters": {
        "type": "object", "properties": {"a": {"type": "string", "description": ""}}, "required": []}}}  # fmt: skip
    try:
        return list(dict.fromkeys(MARK.findall(template.render([{"role": "user", "content": "x"}], tools=[tool]))))
    except LlamaChatError:  # a template that fails on every tool
        return []


def own(template, special, messages, tools):
    parts = template.render_parts(messages, special_texts=[special], tools=tools)
    assert "".join(text for text, _ in parts) == template.render(messages, tools=tools)
    return sum(text.count(special) for text, is_own in parts if is_own)


@pytest.mark.parametrize("name", TOOLS)
@settings(
    max_examples=N_EXAMPLES, deadline=None, derandomize="LLAMACHAT_TYPED" not in os.environ,
    suppress_health_check=list(HealthCheck), database=None, phases=(Phase.generate,),
)  # fmt: skip
@given(data=st.data())
def test_the_template_s_own_control_tokens_stay_its_own_whatever_is_typed(name, data):
    found = specials(TOOLS[name])
    if not found:
        return
    special = data.draw(st.sampled_from(found))
    template = ChatTemplate(TOOLS[name], "<s>", "</s>")
    messages, tools = conversation(data.draw, special, NAMES if name in SORTING else NAMES + KEYWORDS)
    clean = json.loads(json.dumps([messages, tools], ensure_ascii=False).replace(special, PLAIN))
    clean_number = PLAIN[:9].ljust(9, "x")
    for message in clean[0]:
        for call in message.get("tool_calls", ()):
            call["id"] = clean_number
        if "tool_call_id" in message:
            message["tool_call_id"] = clean_number
    try:
        wanted = own(template, special, *clean)
    except LlamaChatError:
        return
    note(f"{special} {messages} {tools}")
    assert own(template, special, messages, tools) == wanted
