"""`direct_response`: a fixed answer to each connection, and its end."""
