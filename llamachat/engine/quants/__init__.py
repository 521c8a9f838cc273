"""Every block format as data, with its NumPy reference codec."""
