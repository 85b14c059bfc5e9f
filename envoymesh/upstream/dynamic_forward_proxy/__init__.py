"""Upstreams that requests name: a cache of names that are resolved as they are asked for, and the cluster over it."""
