"""How long to wait before a crashed replica is started again. Pure: it is told the time, and never sleeps."""

FIRST_SECONDS = 0.1
LONGEST_SECONDS = 30.0
# A replica that ran so long has recovered: its next crash is a first one again (as with Docker's restart policy).
RECOVERED_SECONDS = 10.0


class Backoff:
    """Doubles from FIRST_SECONDS up to LONGEST_SECONDS."""

    def __init__(self) -> None:
        self.failures = 0

    def __repr__(self) -> str:
        return f"Backoff({self.failures} failures in a row)"

    def after(self, ran_for: float) -> float:
        """The seconds to wait after a crash of something that ran for so many seconds."""
        if ran_for >= RECOVERED_SECONDS:
            self.failures = 0
        self.failures += 1
        return float(min(FIRST_SECONDS * 2 ** min(self.failures - 1, 16), LONGEST_SECONDS))
