"""The admin's handlers, a file for each subject, each with its `ENDPOINTS`. They must not talk to a stream."""
