"""Buffers, the worker pool, and Program: the launches that are a model's forward pass."""
