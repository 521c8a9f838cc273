"""What to type about an error of the engine, which knows no command line."""

from llamachat.errors import ContextFull, LlamaChatError, NotEnoughMemory

HINTS: tuple[tuple[type[LlamaChatError], str, str], ...] = (
    (ContextFull, "context", "-c N"),
    (NotEnoughMemory, "would fit", "-c N"),
    (LlamaChatError, "draft", "--model-draft"),
    (LlamaChatError, "ban fewer tokens", "--logit-bias, --ignore-eos"),
    (LlamaChatError, "Self-Extend", "--grp-attn-n, --grp-attn-w"),
    (LlamaChatError, "sampling_seq", "--sampling-seq"),
    (LlamaChatError, "logit_bias", "--logit-bias"),
    (LlamaChatError, "samplers: ", "--samplers"),
)
"""Of an error of this class whose sentence has these words: the options that it is about."""


def hinted(error: LlamaChatError) -> str:
    """The error's sentence with the options that it is about, where it names none."""
    said = str(error)
    for kind, words, options in HINTS:
        if isinstance(error, kind) and words in said and "(--" not in said and options.split(",")[0] not in said:
            return f"{said} ({options})"
    return said
