"""Filters and loggers that users write: one Python file is read, checked, watched and read again when it is saved.

This room knows how a file becomes a class with settings, and how a coroutine is led without a task. It must not know
what a filter is: `envoymesh.api` says that to users, `filters/*/python` to the proxy.
"""
