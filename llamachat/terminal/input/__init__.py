"""The line where a person types."""
