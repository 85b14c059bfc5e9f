"""`envoymesh check`: what is wrong or doubtful in a configuration, before anybody sends a request."""
