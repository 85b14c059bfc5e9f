"""Connection pools: one for each host and protocol. Decisions are made on explicit lists, then I/O is done."""
