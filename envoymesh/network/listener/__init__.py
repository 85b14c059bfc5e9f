"""Listeners: binding, accepting, and finding each connection its filter chain."""
