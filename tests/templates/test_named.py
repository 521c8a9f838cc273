"""The templates that come with the package: what they render, what ends an answer, and which real ones they name."""

from pathlib import Path

import pytest
from golden_data import needed

from llamachat.templates.named import MARKS, builtin_names, builtin_template, end_text, known_name
from llamachat.templates.renderer import ChatTemplate

TALK = [
    {"role": "system", "content": "Be brief. "},
    {"role": "user", "content": "Hello "},
    {"role": "assistant", "content": " Hi"},
    {"role": "user", "content": "Bye"},
]
EXPECTED = {
    "chatml": "<|im_start|>system\nBe brief. <|im_end|>\n<|im_start|>user\nHello <|im_end|>\n"
    "<|im_start|>assistant\n Hi<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n",
    "hermes": "<|im_start|>system\nBe brief. <|im_end|>\n<|im_start|>user\nHello <|im_end|>\n"
    "<|im_start|>assistant\n Hi<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n",
    "llama2": "[INST] Be brief. \nHello  [/INST] Hi</s>[INST] Bye [/INST]",
    "llama2-sys": "[INST] <<SYS>>\nBe brief. \n<</SYS>>\n\nHello  [/INST] Hi</s>[INST] Bye [/INST]",
    "llama2-sys-bos": "[INST] <<SYS>>\nBe brief. \n<</SYS>>\n\nHello  [/INST] Hi</s><s>[INST] Bye [/INST]",
    "llama2-sys-strip": "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHello [/INST]Hi</s>[INST] Bye [/INST]",
    "mistral-v1": " [INST] Be brief. \n\nHello  [/INST]  Hi</s> [INST] Bye [/INST]",
    "mistral-v3": "[INST] Be brief. \n\nHello [/INST] Hi</s>[INST] Bye[/INST]",
    "mistral-v3-tekken": "[INST]Be brief. \n\nHello [/INST] Hi</s>[INST]Bye[/INST]",
    "mistral-v7": "[SYSTEM_PROMPT] Be brief. [/SYSTEM_PROMPT][INST] Hello [/INST]  Hi</s>[INST] Bye[/INST]",
    "mistral-v7-tekken": "[SYSTEM_PROMPT]Be brief. [/SYSTEM_PROMPT][INST]Hello [/INST] Hi</s>[INST]Bye[/INST]",
    "llama3": "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nHello<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nHi<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "gemma": "<start_of_turn>user\nBe brief.\n\nHello<end_of_turn>\n<start_of_turn>model\nHi<end_of_turn>\n"
    "<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n",
    "phi3": "<|system|>\nBe brief. <|end|>\n<|user|>\nHello <|end|>\n<|assistant|>\n Hi<|end|>\n"
    "<|user|>\nBye<|end|>\n<|assistant|>\n",
    "zephyr": "<|system|>\nBe brief. <|endoftext|>\n<|user|>\nHello <|endoftext|>\n<|assistant|>\n Hi<|endoftext|>\n"
    "<|user|>\nBye<|endoftext|>\n<|assistant|>\n",
    "monarch": "system\nBe brief. </s>\n<s>user\nHello </s>\n<s>assistant\n Hi</s>\n<s>user\nBye</s>\n<s>assistant\n",
    "orion": "Human: Be brief. \n\nHello \n\nAssistant: </s> Hi</s>Human: Bye\n\nAssistant: </s>",
    "openchat": "Be brief. <|end_of_turn|>GPT4 Correct User: Hello <|end_of_turn|>"
    "GPT4 Correct Assistant:  Hi<|end_of_turn|>GPT4 Correct User: Bye<|end_of_turn|>GPT4 Correct Assistant:",
    "vicuna": "Be brief. \n\nUSER: Hello \nASSISTANT:  Hi</s>\nUSER: Bye\nASSISTANT:",
    "vicuna-orca": "SYSTEM: Be brief. \nUSER: Hello \nASSISTANT:  Hi</s>\nUSER: Bye\nASSISTANT:",
    "deepseek": "Be brief. ### Instruction:\nHello \n### Response:\n Hi\n<|EOT|>\n"
    "### Instruction:\nBye\n### Response:\n",
    "deepseek3": "Be brief. \n\n<｜User｜>Hello <｜Assistant｜> Hi<｜end▁of▁sentence｜><｜User｜>Bye<｜Assistant｜>",
    "deepseek-ocr": "Be brief. Hello  HiBye",
    **dict.fromkeys(
        ("granite-4.0", "granite-4.1"),
        "<|start_of_role|>system<|end_of_role|>Be brief. <|end_of_text|>\n"
        "<|start_of_role|>user<|end_of_role|>Hello <|end_of_text|>\n"
        "<|start_of_role|>assistant<|end_of_role|> Hi<|end_of_text|>\n"
        "<|start_of_role|>user<|end_of_role|>Bye<|end_of_text|>\n<|start_of_role|>assistant<|end_of_role|>",
    ),
    "minicpm": "Be brief.<用户>Hello<AI>Hi<用户>Bye<AI>",
    "exaone3": "[|system|]Be brief.[|endofturn|]\n[|user|]Hello\n[|assistant|]Hi[|endofturn|]\n"
    "[|user|]Bye\n[|assistant|]",
    "rwkv-world": "System: Be brief.\n\nUser: Hello\n\nAssistant: Hi\n\nUser: Bye\n\nAssistant:",
    "yandex": " Пользователь: Hello \n\n Ассистент:  Hi\n\n Пользователь: Bye\n\n Ассистент:[SEP]",
    "bailing2": "<role>SYSTEM</role>Be brief. <|role_end|><role>HUMAN</role>Hello <|role_end|>"
    "<role>ASSISTANT</role> Hi<|role_end|><role>HUMAN</role>Bye<|role_end|><role>ASSISTANT</role>",
    "gpt-oss": "<|start|>system<|message|>Be brief. <|end|><|start|>user<|message|>Hello <|end|>"
    "<|start|>assistant<|message|> Hi<|return|><|start|>user<|message|>Bye<|end|><|start|>assistant",
    "kimi-k2": "<|im_system|>system<|im_middle|>Be brief. <|im_end|><|im_user|>user<|im_middle|>Hello <|im_end|>"
    "<|im_assistant|>assistant<|im_middle|> Hi<|im_end|><|im_user|>user<|im_middle|>Bye<|im_end|>"
    "<|im_assistant|>assistant<|im_middle|>",
    "seed_oss": "<seed:bos>system\nBe brief. <seed:eos><seed:bos>user\nHello <seed:eos>"
    "<seed:bos>assistant\nHi<seed:eos><seed:bos>user\nBye<seed:eos><seed:bos>assistant\n",
}
# A real template of the golden ones, and what it is called.
CALLED = {
    "Qwen-Qwen3-0.6B": "chatml",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use": "chatml",
    "google-gemma-2-2b-it": "gemma",
    "meta-llama-Llama-3.1-8B-Instruct": "llama3",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B": "deepseek3",
    "CohereForAI-c4ai-command-r-plus-tool_use": "command-r",
    "ibm-granite-granite-4.0": "granite-4.0",
    "openai-gpt-oss-120b": "gpt-oss",
    "ByteDance-Seed-OSS": "seed_oss",
    "unsloth-mistral-Devstral-Small-2507": "mistral-v7",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_talk_is_rendered_as_that_model_family_wants_it(name: str) -> None:
    assert ChatTemplate(builtin_template(name)).render(TALK) == EXPECTED[name]


@pytest.mark.parametrize("name", builtin_names())
def test_every_template_prints_what_was_said_and_knows_what_ends_an_answer(name: str) -> None:
    template = ChatTemplate(builtin_template(name))
    text = template.render(TALK)
    assert text.index("Hello") < text.index("Hi") < text.index("Bye")
    assert template.is_builtin
    assert all(template.end_texts)


def test_about_forty_names_are_known_and_each_mark_names_one() -> None:
    assert len(builtin_names()) >= 40
    assert {name for name, _ in MARKS} <= set(builtin_names())


@pytest.mark.parametrize("name", CALLED)
def test_real_templates_are_called_by_their_names(golden: Path, name: str) -> None:
    assert known_name(needed(golden / "templates" / f"{name}.jinja").read_text("utf-8")) == CALLED[name]


@pytest.mark.parametrize(
    ("marks", "name"),
    [
        ("<|start_of_role|>{{ g4_default_system_message }}<tools>", "granite-4.0"),
        ("<|start_of_role|><tool_call>{{ g4_default_system_message }}", "granite-4.0"),
        ("<|start_of_role|><tool_call>", "granite-4.1"),
        ("<|start_of_role|><tools>", "granite-4.1"),
        ("<|start_of_role|><|tool_call|>", "granite"),
    ],
)
def test_the_generations_of_granite_are_told_apart_by_their_tools(marks: str, name: str) -> None:
    assert known_name(marks) == name


@pytest.mark.parametrize("name", ["granite-4.0", "granite-4.1"])
def test_granite_4_writes_a_call_as_the_assistant_s(name: str) -> None:
    call = [{"role": "assistant_tool_call", "content": "[]"}]
    expected = "<|start_of_role|>assistant<|end_of_role|><|tool_call|>[]<|end_of_text|>\n"
    assert ChatTemplate(builtin_template(name)).render(call, add_generation_prompt=False) == expected


def test_a_template_like_no_other_has_no_name() -> None:
    assert known_name("{{ messages }}") is None
    assert end_text("{{ messages }}") == ""


def test_variables_reach_every_rendering_and_a_call_s_own_win() -> None:
    template = ChatTemplate("{{ a }}{{ b }}", variables={"a": 1, "b": 2})
    assert template.render([]) == "12"
    assert template.render([], b=3) == "13"
    assert template.with_variables(a=5).render([]) == "52"
