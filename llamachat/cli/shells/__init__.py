"""Completion scripts for shells: what they know, and how each shell gets it."""

from llamachat.cli.shells import bash, fish, powershell, zsh

SHELLS = {"bash": bash.script, "fish": fish.script, "powershell": powershell.script, "zsh": zsh.script}
"""The maker of each shell's script."""
