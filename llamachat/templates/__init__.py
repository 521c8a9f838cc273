"""Chat templates: from messages to the text that the model was trained on."""
