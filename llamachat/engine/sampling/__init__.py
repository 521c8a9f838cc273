"""From logits to a token: the sampler chain."""
