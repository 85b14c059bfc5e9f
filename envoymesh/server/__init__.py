"""The composition root: the only room that constructs across rooms. Start order, drain, signals, logs."""
