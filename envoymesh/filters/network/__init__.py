"""Network filters, one folder each."""
