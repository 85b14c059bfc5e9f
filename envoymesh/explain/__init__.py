"""Why a request got its answer, for people. It reads what the proxy says and never takes part in serving."""
