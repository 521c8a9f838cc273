"""LLVM: a vocabulary for kernels, instruction sets, the compiler and its object cache."""
