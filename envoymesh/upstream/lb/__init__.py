"""Load balancers: pure selection among hosts. Discovery gives them hosts; they do no I/O and keep no clock."""
