"""The configuration dump: messages made, cut to what was asked for, and stripped of secrets."""
