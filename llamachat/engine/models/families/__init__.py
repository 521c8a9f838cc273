"""One file per family of architectures, named like `general.architecture` with underscores; see `Architecture`."""
