"""What is known of a chat template's calls before a model makes any."""

from pathlib import Path

import pytest
from golden_data import needed

from llamachat.dialogue.tools.choice import dialect_of, template_dialect, with_calls
from llamachat.dialogue.tools.definition import Tool
from llamachat.errors import UsageError
from llamachat.templates.named import builtin_template, known_name
from llamachat.templates.renderer import ChatTemplate

HEAD = "{{ tools | tojson }}{% for m in messages %}{{ m.role }}:{{ m.content or '' }}"
END = "\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
NAME, GIVEN = "c.function.name", "c.function.arguments"


def template(call: str) -> str:
    return f"{HEAD}{{% for c in m.tool_calls or () %}}{call}{{% endfor %}}{END}"


@pytest.mark.parametrize(
    ("call", "form"),
    [
        (f"<tool_call>{{{{ {{'name': {NAME}, 'arguments': {GIVEN}}} | tojson }}}}</tool_call>", "hermes"),
        (f"[TOOL_CALLS]{{{{ {NAME} }}}}[ARGS]{{{{ {GIVEN} | tojson }}}}", "mistral-args"),
        (f"<function={{{{ {NAME} }}}}>{{% for k, v in {GIVEN}.items() %}}<parameter={{{{ k }}}}>\n{{{{ v }}}}\n"
         "</parameter>{% endfor %}</function>", "function-tags"),
        (f"[TOOL_CALLS]{{{{ {NAME} }}}}[ARGS]{{{{ '' + {GIVEN} }}}}", "mistral-args"),
    ],
)  # fmt: skip
def test_the_format_follows_from_what_the_template_writes(call, form):
    assert template_dialect(template(call)).form.name == form


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ messages }}", "knows of no tools"),
        (template(f"call {{{{ {NAME} }}}} with {{{{ {GIVEN} | tojson }}}}"), "a way that is not known here"),
        (template("<tool_call>{{ c.function | tojson | upper }}</tool_call>"), "a way that is not known here"),
        (f"{HEAD}{END}", "does not say how"),
        (template("{{ raise_exception('no calls') }}"), "no calls"),
        ("{{ tools }}{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}{# <tool_call> #}",
         "does not show results"),
        ("{{ tools }}{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tool') }}{% endif %}"
         "{{ m.content }}{% endfor %}{# <tool_call> #}", "refuses results of tools"),
    ],
)  # fmt: skip
def test_a_template_whose_calls_cannot_be_read_is_refused_with_the_reason(source, said):
    with pytest.raises(UsageError, match=said):
        template_dialect(source)


def test_arguments_are_told_as_text_where_the_template_takes_nothing_else():
    source = template(f"[TOOL_CALLS]{{{{ {NAME} }}}}[ARGS]{{{{ '' + {GIVEN} }}}}")
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": {"ü": [1]}}}
    told = with_calls({"role": "assistant", "content": "", "tool_calls": [call]}, source)
    assert told["tool_calls"][0]["function"]["arguments"] == '{"ü": [1]}'
    assert call["function"]["arguments"] == {"ü": [1]}


def test_a_tool_whose_name_does_not_come_back_is_refused_by_name():
    source = template(f"[TOOL_CALLS]{{{{ {NAME} }}}}[ARGS]{{{{ {GIVEN} | tojson }}}}")
    assert dialect_of(source, [Tool("a-b.c")]).form.name == "mistral-args"
    with pytest.raises(UsageError, match="'a b' does not come back"):
        dialect_of(source, [Tool("a b")])


def test_a_template_that_writes_no_calls_but_names_their_mark_has_that_format():
    dialect = template_dialect(f"{{# Calls: <tool_call> #}}{HEAD}{END}")
    assert (dialect.form.name, dialect.written) == ("hermes", False)


@pytest.mark.parametrize(
    ("name", "form", "inside"),
    [
        ("Qwen-Qwen3-0.6B", "hermes", False),
        ("meta-llama-Llama-3.1-8B-Instruct", "llama3", False),
        ("unsloth-mistral-Devstral-Small-2507", "mistral-args", False),
        ("NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "function-tags", True),
        ("GLM-4.6", "arg-keys", False),
        ("openai-gpt-oss-120b", "gpt-oss", False),
        ("deepseek-ai-DeepSeek-V3.2", "invoke", False),
        ("google-gemma-4-31B-it", "gemma4", False),
        ("CohereForAI-c4ai-command-r-plus-tool_use", "command-r", False),
        ("unsloth-Apriel-1.5", "tool_calls", False),
        ("Kimi-K3", "kimi-k3", True),
    ],
)
def test_public_templates_have_the_formats_of_their_families(golden: Path, name, form, inside):
    dialect = template_dialect(needed(golden / "templates" / f"{name}.jinja").read_text("utf-8"))
    assert (dialect.form.name, dialect.inside) == (form, inside)


def test_a_built_in_template_has_tools():
    source = builtin_template("hermes")
    dialect = dialect_of(source, [Tool("now"), Tool("a b")])
    assert (dialect.form.name, dialect.written, dialect.plain, known_name(source)) == ("hermes", True, False, "chatml")


def test_the_built_in_template_shows_tools_calls_and_results():
    call = {"id": "a", "type": "function", "function": {"name": "now", "arguments": {"at": "Köln"}}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "When?"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call, call]},
        {"role": "tool", "name": "now", "content": "noon"},
    ]
    text = ChatTemplate(builtin_template("hermes")).render(messages, tools=[Tool("now").described])
    assert text.startswith("<|im_start|>system\nBe brief.\n\n")
    assert text.count("<|im_start|>system") == 1
    assert '"name": "now"' in text[: text.index("</tools>")]
    written = '<tool_call>\n{"name": "now", "arguments": {"at": "Köln"}}\n</tool_call>'
    assert f"assistant\nLet me see.\n{written}\n{written}<|im_end|>\n" in text
    assert text.endswith("tool\n<tool_response>\nnoon\n</tool_response><|im_end|>\n<|im_start|>assistant\n")


def test_a_refusal_names_the_template_that_was_given_and_one_that_has_tools():
    for source in ("{{ messages }}", f"{HEAD}{END}"):
        with pytest.raises(UsageError, match=r"^the chat template x .*give another one: hermes .*docs/tools\.md"):
            dialect_of(source, [Tool("now")], "the chat template x")
