"""What --help and docs/cli.md say besides the options' own texts: panels of options and commands, and examples."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PANELS = {
    "ChatChoice": "Chat",
    "ConstraintChoice": "Form of the answer",
    "Everywhere": "Everywhere",
    "LengthChoice": "Length",
    "LooksChoice": "Looks",
    "ModelChoice": "Model",
    "ModelFile": "Model",
    "PromptCacheChoice": "Prompt cache",
    "PromptChoice": "Prompt",
    "ReportChoice": "Output",
    "RunMode": "Kind of answer",
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


CHATS, MODELS, MEASURE, PROGRAM = "Chat and write", "Models", "Measure", "The program itself"
COMMAND_PANELS = (CHATS, MODELS, MEASURE, PROGRAM, "More")

FIRST = (
    Example("llamachat chat", "chat with the default model"),
    Example('llamachat run --chat "Name three fruits."', "one answer, for scripts"),
    Example('cat notes.txt | llamachat run --chat "Summarise:"', "something done with a file"),
    Example("llamachat COMMAND --help", "usual options and examples"),
)
"""What stands first in the help of the program."""

USUAL = {
    "model": "A GGUF file, a name from `llamachat models`, or hf:owner/repository.",
    "message": "The first message; `-` is standard input.",
    "positional": "The prompt; `-` is standard input.",
    "text": "The prompt, where it is not given alone.",
    "file": "A file that goes with the prompt.",
    "session": "The chat of this name or number, which begins if it is new.",
    "continue": "Resume the last chat.",
    "save": "Keep nothing of the chat.",
    "chat": "Answer through the chat template, instead of continuing the text.",
    "prompt": "A prompt from `llamachat prompts`.",
    "system": "The system prompt.",
    "reverse_prompt": "Stop after this text and let the person type.",
    "in_prefix": "Put before what the person types.",
    "interactive_first": "Let the person begin.",
    "n_predict": "At most N tokens; -1 continues without end.",
    "stop": "End before this text.",
    "temp": "How freely words are chosen; 0 takes the likeliest.",
    "seed": "The same seed gives the same text; -1 is random.",
    "json": "Only JSON.",
    "json_schema_file": "Only JSON that satisfies the schema in a file.",
    "reasoning": "What becomes of thoughts: show, hide or off.",
    "tools": "Functions that the model may call.",
    "yes": "Agree to what would be asked.",
    "plain": "Answers as raw text.",
    "output": "How answers are printed: text, json or jsonl.",
    "dry_run": "Show what the model would see, and load no weights.",
    "quiet": "Only errors on standard error.",
    "ctx_size": "Tokens that the context holds.",
    "threads": "Worker threads.",
    "verbose": "Say what is done and how fast.",
}
"""What --help shows of a command with many options, in this order, by setting or argument; --help-all shows all."""

GUIDE = {
    "chat": Guide(
        CHATS,
        (
            Example("llamachat chat", "Chat with the default model."),
            Example('llamachat chat -m gemma3 --system "Answer briefly."', "With another model and a system prompt."),
            Example('llamachat chat -f notes.txt "What is missing here?"', "Begin with a file and a message."),
            Example("llamachat chat --continue", "Resume the last chat."),
        ),
    ),
    "run": Guide(
        CHATS,
        (
            Example('llamachat run "Once upon a time" -n 100', "Continue a text, by 100 tokens at most."),
            Example('cat notes.txt | llamachat run --chat "Summarise:" --temp 0', "Something done with a file."),
            Example('llamachat run --chat "Is {input} a city?" -f name.txt', "The file's text in its place."),
            Example("llamachat run --prompt summarize -f notes.txt", "A prompt of the library."),
            Example('llamachat run --chat "Three fruits." --json -n 60 --output json', "Only JSON, with figures."),
        ),
    ),
    "prompts": Guide(
        CHATS,
        (
            Example("llamachat prompts", "The program's and yours, with their variables."),
            Example("llamachat prompts summarize", "The file of one, to begin your own with."),
            Example("llamachat run --prompt translate --var language=French -f letter.txt", "Use one."),
        ),
    ),
    "interactive": Guide(
        CHATS,
        (
            Example(
                'llamachat interactive -f prompts/talk.txt -r "User:" --in-prefix " "',
                "A written dialogue that stops whenever it is the user's turn.",
            ),
            Example("llamachat interactive --interactive-first", "Write the beginning yourself."),
        ),
    ),
    "sessions": Guide(
        CHATS,
        (
            Example("llamachat sessions", "The chats that are kept, the latest first."),
            Example('llamachat sessions search "plum*"', "Messages with a word that begins so."),
            Example("llamachat sessions export 19 chat.md", "Write one to a file."),
        ),
    ),
    "models": Guide(
        MODELS,
        (
            Example("llamachat models", "What is here, which one is the default, and what fits into memory."),
            Example("llamachat models rm gemma3", "Delete one that was fetched."),
            Example("llamachat models --output json", "For programs."),
        ),
    ),
    "pull": Guide(
        MODELS,
        (
            Example("llamachat pull gemma3", "One of the models known by name."),
            Example("llamachat pull hf:owner/repository:Q4_K_M", "A model of the Hugging Face Hub, of this type."),
            Example("llamachat pull hf:owner/repository/model.gguf", "One file of a repository."),
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
