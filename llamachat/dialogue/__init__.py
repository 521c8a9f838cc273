"""Conversations without a terminal: messages and their tree, prompts, answers, thoughts, tool calls."""
