"""Connections: sockets, TCP, and how upstream ones are made."""
