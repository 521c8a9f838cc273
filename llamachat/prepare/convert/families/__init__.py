"""How the checkpoints of each family become GGUF: a file for each, found by the names in its `classes`."""
