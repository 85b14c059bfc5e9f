"""What a person who looks at the page is told. It must not know HTTP but for a status."""


class PageError(Exception):
    """A sentence for people, and the HTTP status that goes with it."""

    def __init__(self, text: str, status: int = 409) -> None:
        super().__init__(text)
        self.status = status
