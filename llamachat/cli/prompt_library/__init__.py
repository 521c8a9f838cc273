"""The prompts that have a name: where they lie, how they are read, and the text that becomes of one."""
