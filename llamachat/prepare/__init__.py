"""Making model files: converted, quantised, measured, split, merged and edited. Knows no terminal, no command line."""
