"""What --help and docs/cli.md say besides the options' own texts: panels of options and commands, and examples."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PANELS = {
    "BaseChoice": "Base model",
    "ChatChoice": "Chat",
    "ConstraintChoice": "Constrained output",
    "EmbeddingChoice": "Embeddings",
    "Everywhere": "Everywhere",
    "LengthChoice": "Length",
    "LooksChoice": "Appearance",
    "Measuring": "Measuring",
    "ModelChoice": "Model",
    "ModelFile": "Model",
    "ModelFileAndMore": "Model",
    "PromptCacheChoice": "Prompt cache",
    "PromptChoice": "Prompt",
    "ReportChoice": "Output",
    "Result": "Result",
    "RunMode": "Mode",
    "RunPrompt": "Prompt",
    "SamplingOptions": "Sampling",
    "SpeculationChoice": "Speculative decoding",
    "TemplateChoice": "Chat template",
    "TokenList": "Output",
    "ToolChoice": "Tools",
    "Turns": "Interaction",
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
    """Under which heading a command stands, and how it is used. usual: what `USUAL` lacks, or says otherwise."""

    panel: str
    examples: Sequence[Example] = ()
    usual: Mapping[str, str] = field(default_factory=dict)


CHATS, MODELS, PREPARE = "Chat and write", "Models", "Prepare models"
MEASURE, PROGRAM = "Measure", "The program itself"
COMMAND_PANELS = (CHATS, MODELS, PREPARE, MEASURE, PROGRAM, "More")

FIRST = (
    Example("llamachat chat", "chat with the default model"),
    Example('llamachat run --chat "Name three fruits."', "one answer, for scripts"),
    Example('cat notes.txt | llamachat run --chat "Summarise:"', "apply an instruction to a file"),
    Example("llamachat COMMAND --help", "common options and examples"),
)
"""What stands first in the help of the program."""

USUAL = {
    "model": "A GGUF file, a name from `llamachat models`, or hf:owner/repository.",
    "message": "The first message; `-` is standard input.",
    "positional": "The prompt; `-` is standard input.",
    "text": "The prompt.",
    "file": "A file to add to the prompt or message.",
    "session": "Continue or start the chat with this name or number.",
    "continue": "Continue the last chat.",
    "save": "Do not save the chat.",
    "chat": "Answer through the chat template instead of continuing the text.",
    "prompt": "A prompt from `llamachat prompts`.",
    "infill_at": "Fill in the middle of a file, with a model for code.",
    "system": "The system prompt.",
    "reverse_prompt": "Stop after this text and wait for input.",
    "in_prefix": "Text to insert before the input.",
    "interactive_first": "Wait for input first.",
    "n_predict": "Maximum number of tokens; -1: no limit.",
    "stop": "Stop before this text.",
    "temp": "Temperature; 0 is greedy sampling.",
    "seed": "Seed of the sampler; -1 is random.",
    "json": "Constrain the output to JSON.",
    "json_schema_file": "Constrain the output to a JSON schema in a file.",
    "reasoning": "The model's thoughts: show, hide or off.",
    "tools": "Tools that the model may call.",
    "yes": "Answer questions of the program with yes.",
    "plain": "Answers as raw text.",
    "output": "Output format: text, json or jsonl.",
    "dry_run": "Print the prompt as the model would get it.",
    "quiet": "Print only errors on standard error.",
    "ctx_size": "Size of the context in tokens.",
    "threads": "Worker threads.",
    "verbose": "Print what is done, and how fast.",
}
"""What --help shows of a command with many options, in this order, by setting or argument; --help-all shows all."""

GUIDE = {
    "chat": Guide(
        CHATS,
        (
            Example("llamachat chat", "Chat with the default model."),
            Example('llamachat chat -m gemma3 --system "Answer briefly."', "Another model and a system prompt."),
            Example('llamachat chat -f notes.txt "What is missing here?"', "Start with a file and a message."),
            Example("llamachat chat --continue", "Continue the last chat."),
        ),
    ),
    "run": Guide(
        CHATS,
        (
            Example('llamachat run "Once upon a time" -n 100', "Continue a text by at most 100 tokens."),
            Example('cat notes.txt | llamachat run --chat "Summarise:" --temp 0', "Apply an instruction to a file."),
            Example('llamachat run --chat "Is {input} a city?" -f name.txt', "Insert a file into the prompt."),
            Example("llamachat run --prompt summarize -f notes.txt", "Use a prompt of the library."),
            Example("llamachat run -m qwen2.5-coder --infill-at main.py:12:5 -n 60", "Fill in at a place in a file."),
            Example(
                'llamachat run --chat "Three fruits." --json -n 60 --output json',
                "Constrain the output to JSON; print timings, too.",
            ),
        ),
    ),
    "prompts": Guide(
        CHATS,
        (
            Example("llamachat prompts", "List the built-in prompts and yours, with their variables."),
            Example("llamachat prompts summarize", "Print the file of one, as a start for your own."),
            Example("llamachat run --prompt translate --var language=French -f letter.txt", "Use one."),
        ),
    ),
    "interactive": Guide(
        CHATS,
        (
            Example(
                'llamachat interactive -f prompts/talk.txt -r "User:" --in-prefix " "',
                "A dialogue that stops at the user's turn.",
            ),
            Example("llamachat interactive --interactive-first", "Type the start of the text yourself."),
        ),
    ),
    "sessions": Guide(
        CHATS,
        (
            Example("llamachat sessions", "List the saved chats, the latest first."),
            Example('llamachat sessions search "plum*"', "Search messages for words with this prefix."),
            Example("llamachat sessions export 19 chat.md", "Write a chat to a file."),
        ),
    ),
    "models": Guide(
        MODELS,
        (
            Example("llamachat models", "List local models, the default, and what fits into memory."),
            Example("llamachat models rm gemma3", "Delete a downloaded model."),
            Example("llamachat models --output json", "The same as JSON."),
        ),
    ),
    "pull": Guide(
        MODELS,
        (
            Example("llamachat pull gemma3", "A model known by name."),
            Example(
                "llamachat pull hf:owner/repository:Q4_K_M", "A model of the Hugging Face Hub, in this quantisation."
            ),
            Example("llamachat pull hf:owner/repository/model.gguf", "One file of a repository."),
        ),
    ),
    "show": Guide(
        MODELS, (Example("llamachat show smollm2", "Print size, type, context, metadata and chat template."),)
    ),
    "tokenize": Guide(
        MODELS,
        (
            Example('llamachat tokenize "Hello there"', "Print one token per line."),
            Example("llamachat tokenize --ids -f notes.txt", "Print only the token ids."),
        ),
    ),
    "embed": Guide(
        MODELS,
        (
            Example('llamachat embed -m minilm "Hello there"', "Print the embedding of a text."),
            Example("llamachat embed -m minilm --output npy < lines.txt > vectors.npy", "One for each line, as NumPy."),
            Example('llamachat embed -m reranker --query "Capital of France?" < answers.txt', "Score the lines."),
        ),
        {
            "positional": "Texts; `-` is standard input, whose lines are texts.",
            "file": "A file that is one text.",
            "query": "Score the texts as answers to this one (rerankers).",
            "pooling": "none, mean, cls, last or rank.",
            "normalize": "Length of the vectors: none, l1, l2 or max.",
            "output": "Output format: jsonl, json, csv or npy.",
        },
    ),
    "templates": Guide(MODELS, (Example("llamachat templates chatml", "Print a built-in chat template."),)),
    "quantize": Guide(
        PREPARE,
        (
            Example("llamachat quantize model-f16.gguf small.gguf Q4_K_M", "The usual mix of 4 and 6 bits."),
            Example(
                "llamachat quantize model-f16.gguf tiny.gguf IQ3_XXS --imatrix model.imatrix.gguf",
                "About 3 bits, with an importance matrix.",
            ),
            Example("llamachat quantize model-f16.gguf any.gguf Q5_K_M --dry-run", "Types and sizes; writes nothing."),
        ),
        {
            "imatrix": "An importance matrix, which types below 3 bits need.",
            "pure": "One type in place of a mix.",
            "tensor_type": "PATTERN=TYPE: the type of some tensors.",
            "allow_requantize": "Quantise what is quantised already.",
            "overwrite": "Replace a file that is there already.",
            "dry_run": "Print types and sizes; write nothing.",
            "output": "Output format: text or json.",
        },
    ),
    "bench": Guide(
        MEASURE, (Example("llamachat bench -p 512 -n 128 -t 2", "The tests pp512 and tg128 of llama-bench."),)
    ),
    "perplexity": Guide(
        MEASURE,
        (
            Example("llamachat perplexity -f book.txt -c 512", "Use windows of 512 tokens."),
            Example(
                "llamachat perplexity -m f16.gguf -f book.txt --kl-divergence-base base.dat",
                "Keep what this model predicts.",
            ),
            Example(
                "llamachat perplexity -m q4.gguf --kl-divergence-base base.dat --kl-divergence",
                "Compare another one with it.",
            ),
        ),
        {
            "kl_divergence_base": "A file of a base model's log-probabilities.",
            "kl_divergence": "Compare with that file.",
        },
    ),
    "convert": Guide(
        PREPARE,
        (
            Example("llamachat convert ~/models/Qwen3-0.6B qwen3.gguf", "A folder with config.json and safetensors."),
            Example("llamachat convert hf:owner/repository model.gguf --type q8_0", "Fetch a model; 8 bits a weight."),
        ),
    ),
    "convert-lora": Guide(
        PREPARE, (Example("llamachat convert-lora ~/my-adapter adapter.gguf --base model.gguf", "A PEFT adapter."),)
    ),
    "merge-lora": Guide(
        PREPARE,
        (Example("llamachat merge-lora f16.gguf adapter.gguf merged.gguf", "One file in place of two, for good."),),
    ),
    "compare": Guide(
        MEASURE,
        (
            Example("llamachat compare f16.gguf q4_k_m.gguf -f book.txt", "How much a quantisation costs."),
            Example("llamachat compare f16.gguf q4_0.gguf -f book.txt --chunks 20 --output json", "Fewer windows."),
        ),
    ),
    "split": Guide(
        PREPARE,
        (
            Example("llamachat split model.gguf model --max-size 2G", "Files of two gigabytes at most."),
            Example("llamachat split model.gguf model --max-tensors 100 --dry-run", "Only say what would be written."),
        ),
    ),
    "merge": Guide(PREPARE, (Example("llamachat merge model-00001-of-00003.gguf model.gguf", "One file of three."),)),
    "edit": Guide(
        PREPARE,
        (
            Example('llamachat edit model.gguf general.name="My model"', "Another name."),
            Example("llamachat edit model.gguf tokenizer.chat_template=@template.jinja", "Another chat template."),
            Example("llamachat edit model.gguf llama.rope.freq_base=float:500000 --dry-run", "Only say what changes."),
        ),
    ),
    "hash": Guide(
        PREPARE,
        (
            Example("llamachat hash model.gguf", "Checksums of all tensors; > FILE keeps them."),
            Example("llamachat hash model.gguf --check model.xxh64", "Compare with them."),
        ),
    ),
    "imatrix": Guide(
        PREPARE,
        (
            Example("llamachat imatrix -m f16.gguf -f book.txt -o imatrix.gguf", "Measure on a text."),
            Example("llamachat imatrix --show-statistics --in-file imatrix.gguf", "Print what a file says."),
            Example("llamachat imatrix --in-file a.gguf --in-file b.dat -o sum.gguf", "Add files up."),
        ),
        {
            "output_file": "The file to write.",
            "window": "Tokens of a window of the text.",
            "chunks": "Windows to read; 0: all.",
            "in_file": "An importance matrix to add.",
            "show_statistics": "Print statistics of each tensor.",
            "overwrite": "Replace a file that is there already.",
        },
    ),
    "config": Guide(
        PROGRAM,
        (
            Example("llamachat config edit", "Open the file in your editor; it is checked afterwards."),
            Example("llamachat config show --origin", "Print every setting and its origin."),
            Example("llamachat config show --profile code", "The same with the profile [profile.code]."),
        ),
    ),
    "completion": Guide(
        PROGRAM,
        (Example("llamachat completion bash", "Print the script; its first lines say how to install it."),),
    ),
    "doctor": Guide(
        PROGRAM,
        (
            Example("llamachat doctor", "Check this machine when something is slow or does not work."),
            Example(
                "llamachat doctor -m smollm2 --output json", "For a bug report, with the reachable speed of this model."
            ),
        ),
    ),
}
