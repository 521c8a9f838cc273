"""Instruction sets, one file each."""
