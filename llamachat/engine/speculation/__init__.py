"""Guessing tokens ahead, so that one step of the model verifies several."""
