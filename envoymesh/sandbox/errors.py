"""The errors of the embedded runtime. Each ends in one clear line for the user."""

from envoymesh.errors import EnvoymeshError


class SandboxError(EnvoymeshError):
    """The mesh cannot do what was asked: what is wrong, where, and what to do about it."""
