"""Text to token ids and back, one file per family."""
