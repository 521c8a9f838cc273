"""Architectures, one file per family: hyperparameters, tensors and forward pass, as data."""
