"""Chat with local GGUF language models, on an engine that writes its own SIMD code.

    from llamachat import Model
    model = Model("smollm2.gguf")
    for event in model.generate("Once upon a time", max_tokens=64):
        print(event.text, end="")

Names are imported on first use, so that `import llamachat` costs nothing.
"""

__version__ = "0.2.0"

_HOME = {
    "Adapters": "llamachat.engine.adapters",
    "Context": "llamachat.engine.context",
    "Event": "llamachat.engine.generate",
    "LlamaChatError": "llamachat.errors",
    "Model": "llamachat.library",
    "Tokenizer": "llamachat.engine.tokenizers",
}

__all__ = ["Adapters", "Context", "Event", "LlamaChatError", "Model", "Tokenizer", "__version__"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'llamachat' has no attribute {name!r}")
    from importlib import import_module  # `beginning` waits for this module

    return getattr(import_module(_HOME[name]), name)
