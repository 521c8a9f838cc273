"""What lasts between two runs of the program."""
