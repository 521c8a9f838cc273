"""The engine: from a GGUF file to tokens; a library that knows nothing of terminals."""
