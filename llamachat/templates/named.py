"""The templates that come with this package, by the names that llama.cpp gives them: `builtin/NAME.jinja`.

The first line of each is a comment with the text that ends an answer, for models that have no token for it.
"""

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

END = re.compile(r"\{#- end: (.*) -#\}")

# The first whose texts are all in a template's source is what that template is called; the order is llama.cpp's.
MARKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("phi4", ("<|im_start|>", "<|im_sep|>")),
    ("smolvlm", ("<|im_start|>", "<end_of_utterance>")),
    ("chatml", ("<|im_start|>",)),
    ("mistral-v7", ("[INST]", "[SYSTEM_PROMPT]")),
    ("mistral-v1", ("[INST]", "' [INST] ' + system_message")),
    ("mistral-v3-tekken", ("[INST]", '"[INST]"')),
    ("mistral-v3", ("[INST]", "[AVAILABLE_TOOLS]")),
    ("llama2-sys-bos", ("[INST]", "<<SYS>>", "bos_token + '[INST]")),
    ("llama2-sys-strip", ("[INST]", "<<SYS>>", "content.strip()")),
    ("llama2-sys", ("[INST]", "<<SYS>>")),
    ("llama2", ("[INST]",)),
    ("phi3", ("<|assistant|>", "<|end|>")),
    ("chatglm4", ("[gMASK]<sop>",)),
    ("exaone-moe", ("<|assistant|>", "<|user|>", "<|tool_declare|>")),
    ("falcon3", ("<|assistant|>", "<|user|>", "</s>")),
    ("zephyr", ("<|user|>", "<|endoftext|>")),
    ("glmedge", ("<|assistant|>", "<|user|>")),
    ("monarch", ("bos_token + message['role']",)),
    ("gemma", ("<start_of_turn>",)),
    ("orion", ("'\\n\\nAssistant: ' + eos_token",)),
    ("openchat", ("GPT4 Correct ",)),
    ("vicuna-orca", ("USER: ", "ASSISTANT: ", "SYSTEM: ")),
    ("vicuna", ("USER: ", "ASSISTANT: ")),
    ("deepseek", ("### Instruction:", "<|EOT|>")),
    ("command-r", ("<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>")),
    ("llama3", ("<|start_header_id|>", "<|end_header_id|>")),
    ("chatglm3", ("[gMASK]sop",)),
    ("minicpm", ("<用户>",)),
    ("deepseek2", ("'Assistant: ' + message['content'] + eos_token",)),
    ("deepseek3", ("<｜Assistant｜>", "<｜User｜>", "<｜end▁of▁sentence｜>")),
    ("exaone4", ("[|system|]", "[|assistant|]", "[|endofturn|]", "[|tool|]")),
    ("exaone3", ("[|system|]", "[|assistant|]", "[|endofturn|]")),
    ("rwkv-world", ("rwkv-world",)),
    ("granite-4.0", ("<|start_of_role|>", "<tool_call>", "g4_default_system_message")),
    ("granite-4.0", ("<|start_of_role|>", "<tools>", "g4_default_system_message")),
    ("granite-4.1", ("<|start_of_role|>", "<tool_call>")),
    ("granite-4.1", ("<|start_of_role|>", "<tools>")),
    ("granite", ("<|start_of_role|>",)),
    (
        "gigachat",
        ("message['role'] + additional_special_tokens[0] + message['content'] + additional_special_tokens[1]",),
    ),
    ("megrez", ("<|role_start|>",)),
    ("yandex", (" Ассистент:",)),
    ("bailing2", ("<role>ASSISTANT</role>", "<|role_end|>")),
    ("bailing", ("<role>ASSISTANT</role>", "'HUMAN'")),
    ("llama4", ("<|header_start|>", "<|header_end|>")),
    ("dots1", ("<|endofuserprompt|>",)),
    ("hunyuan-moe", ("<|extra_0|>", "<|extra_4|>")),
    ("gpt-oss", ("<|start|>", "<|channel|>")),
    ("hunyuan-dense", ("<｜hy_Assistant｜>", "<｜hy_place▁holder▁no▁3｜>")),
    ("kimi-k2", ("<|im_assistant|>assistant<|im_middle|>",)),
    ("seed_oss", ("<seed:bos>",)),
    ("grok-2", ("'Assistant: '  + message['content'] + '<|separator|>",)),
    ("pangu-embedded", ("[unused9]系统：[unused10]",)),
    ("solar-open", ("<|begin|>", "<|end|>", "<|content|>")),
)


@cache
def builtin_names() -> tuple[str, ...]:
    """All of them, in order."""
    found = (entry.name for entry in files("llamachat.templates").joinpath("builtin").iterdir())
    return tuple(sorted(name.removesuffix(".jinja") for name in found if name.endswith(".jinja")))


def builtin_template(name: str) -> str:
    """The source of one of them."""
    return files("llamachat.templates").joinpath("builtin", f"{name}.jinja").read_text(encoding="utf-8")


def end_text(source: str) -> str:
    """What ends an answer of a template of this package."""
    found = END.match(source)
    return found[1].replace("\\n", "\n") if found else ""


def known_name(source: str) -> str | None:
    """What the template of a file is called, as far as it looks like one that has a name."""
    return next((name for name, texts in MARKS if _has(source, texts)), None)


def _has(source: str, texts: Sequence[str]) -> bool:
    return all(text in source for text in texts)
