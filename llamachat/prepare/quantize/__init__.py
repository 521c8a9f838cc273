"""`llamachat quantize`: the mixes as data, the plan of a file, and its tensors in pieces of rows."""
