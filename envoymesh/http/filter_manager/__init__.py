"""The filter manager: makes a request's filters, and passes its messages through them."""
