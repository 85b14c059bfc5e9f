"""The admin's handlers, one endpoint a file. They must not import each other's state, nor talk to a stream."""
