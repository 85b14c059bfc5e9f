"""The filter manager: which filters a request passes, and how they stop and go on."""
