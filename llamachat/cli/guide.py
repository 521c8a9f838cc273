"""What --help and docs/cli.md say besides the options' own texts: panels of options and commands, and examples."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PANELS = {
    "ConstraintChoice": "Form of the answer",
    "Everywhere": "Everywhere",
    "LengthChoice": "Length",
    "LooksChoice": "Looks",
    "Manner": "Manner",
    "ModelChoice": "Model",
    "ModelFile": "Model",
    "PromptCacheChoice": "Prompt cache",
    "PromptChoice": "Prompt",
    "ReportChoice": "Output",
    "RunPrompt": "Prompt",
    "SamplingOptions": "Sampling",
    "SpeculationChoice": "Guessing ahead",
    "TemplateChoice": "Chat template",
    "ToolChoice": "Tools",
    "Turns": "Turns",
}
"""The headings of the groups of options; of one that is not here it is the first sentence of its docstring."""


def panel(group: Any) -> str:
    """The heading under which a group's options stand."""
    return PANELS.get(group.__name__) or (inspect.getdoc(group) or "Options").partition(".")[0]


@dataclass(frozen=True)
class Example:
    """A command line, and what it does."""

    line: str
    meaning: str


@dataclass(frozen=True)
class Guide:
    """Under which heading a command stands, and how it is used."""

    panel: str
    examples: Sequence[Example] = ()


TALK, MODELS, MEASURE, PROGRAM = "Talk", "Models", "Measure", "The program itself"
COMMAND_PANELS = (TALK, MODELS, MEASURE, PROGRAM, "More")

GUIDE = {
    "chat": Guide(
        TALK,
        (
            Example("llamachat chat", "Talk with the default model."),
            Example('llamachat chat -m gemma3 --system "Answer briefly."', "With another one, told how to answer."),
            Example("echo 'Name three fruits.' | llamachat chat", "One question, one answer, for scripts."),
        ),
    ),
    "run": Guide(
        TALK,
        (
            Example('llamachat run -p "Once upon a time" -n 100', "Go on with a text, by 100 tokens at most."),
            Example('cat notes.txt | llamachat run --chat -p "Summarise:" --temp 0', "Something done with a file."),
            Example('llamachat run --chat -p "Is {input} a city?" -f name.txt', "The file's text in its place."),
            Example("llamachat run --prompt summarize -f notes.txt", "A prompt of the library."),
            Example('llamachat run --chat -p "Three fruits." --json --output json', "Only JSON, with figures."),
        ),
    ),
    "prompts": Guide(
        TALK,
        (
            Example("llamachat prompts", "The program's and yours, with their variables."),
            Example("llamachat prompts summarize", "The file of one, to begin your own with."),
            Example("llamachat run --prompt translate --var language=French -f letter.txt", "One at work."),
        ),
    ),
    "interactive": Guide(
        TALK,
        (
            Example(
                'llamachat interactive -f prompts/talk.txt -r "User:" --in-prefix " "',
                "A written dialogue that stops whenever it is the user's turn.",
            ),
            Example("llamachat interactive --interactive-first", "Write the beginning yourself."),
        ),
    ),
    "sessions": Guide(
        TALK,
        (
            Example("llamachat sessions", "The chats that are kept, the latest first."),
            Example('llamachat sessions search "plum*"', "Messages with a word that begins so."),
        ),
    ),
    "models": Guide(MODELS, (Example("llamachat models --output json", "The models of this machine, for programs."),)),
    "pull": Guide(
        MODELS,
        (
            Example("llamachat pull gemma3", "One of the models known by name."),
            Example("llamachat pull hf:owner/repository/model.gguf", "A file of the Hugging Face Hub."),
        ),
    ),
    "show": Guide(MODELS, (Example("llamachat show smollm2", "Size, type, context, metadata and chat template."),)),
    "tokenize": Guide(
        MODELS,
        (
            Example('llamachat tokenize "Hello there"', "A line for each token."),
            Example("llamachat tokenize --ids -f notes.txt", "Only the numbers."),
        ),
    ),
    "templates": Guide(
        MODELS, (Example("llamachat templates chatml", "A chat template that comes with the program."),)
    ),
    "bench": Guide(MEASURE, (Example("llamachat bench -p 512 -n 128 -t 2", "The classic pp512 and tg128."),)),
    "perplexity": Guide(MEASURE, (Example("llamachat perplexity -f book.txt -c 512", "In windows of 512 tokens."),)),
    "config": Guide(
        PROGRAM,
        (
            Example("llamachat config edit", "Open the file in your editor, and check it afterwards."),
            Example("llamachat config show --origin", "Every setting, and where it comes from."),
            Example("llamachat config show --profile code", "The same with the profile [profile.code]."),
        ),
    ),
    "completion": Guide(
        PROGRAM,
        (Example("llamachat completion bash", "The script, with how to install it in its first lines."),),
    ),
    "doctor": Guide(
        PROGRAM,
        (
            Example("llamachat doctor", "What there is to know when something is slow or does not work."),
            Example("llamachat doctor -m smollm2 --output json", "For a report, with what this model could reach."),
        ),
    ),
}
