"""The health check filter: this proxy's own answer to those who check it."""
