"""Taking out of configuration messages what must not, or was not asked to, be shown."""
