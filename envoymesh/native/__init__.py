"""The data path as machine code: which modules are compiled, how, and how a process comes to run them.

The source stays the only truth: the very same files are compiled, and the result counts as long as they are unchanged.
"""
