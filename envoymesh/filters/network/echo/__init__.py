"""`echo`: what a peer sends comes back."""
