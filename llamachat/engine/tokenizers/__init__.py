"""Text to token ids and back, one file per family."""

from llamachat.engine.tokenizers.tokenizer import Tokenizer

__all__ = ["Tokenizer"]
