"""What a conversation is, apart from a terminal: tool calls, and how thoughts are marked."""
