"""What runs a forward pass: one package per kind of machine, behind one interface (`interface.py`)."""
