"""The GGUF file format: reader, writer, split files. Knows nothing of models."""
