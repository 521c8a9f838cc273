"""Tools on a terminal: a call is shown, the person is asked, and the result goes back to the model."""
