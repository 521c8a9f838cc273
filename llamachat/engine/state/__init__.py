"""What a sequence keeps between steps, as the operations of a model describe it; backends decide where it lies."""
