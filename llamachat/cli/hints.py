"""What to type about an error of the engine, which knows no command line: the options of the arguments it is about."""

from llamachat.errors import LlamaChatError
from llamachat.relations import option_of

OPTIONS = {
    "adapters": "--lora",
    "cache_type": "--cache-type-k, --cache-type-v",
    "control_layers": "--control-vector-layer-range",
    "draft": "--model-draft",
    "max_tokens": "-n N",
    "mix": "TYPE",
    "model": "-m MODEL",
    "n_ctx": "-c N",
    "n_keep": "--keep",
    "ngrams": "`llamachat tokenize --ngrams` makes one",
    "self_extend": "--grp-attn-n, --grp-attn-w",
    "threads": "-t N",
}
"""Arguments of the library whose options have other names than they."""


def hinted(error: LlamaChatError) -> str:
    """The error's sentence with the options that it is about, where it names none."""
    said = str(error)
    options = ", ".join(OPTIONS.get(name, option_of(name)) for name in error.settings)
    first = options.partition(",")[0]
    return f"{said} ({options})" if options and "(--" not in said and first not in said else said
