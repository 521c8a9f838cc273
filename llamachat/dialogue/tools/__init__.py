"""Tools that a model may call: what they are, how a model writes a call, and how a call is run."""
