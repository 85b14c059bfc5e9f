"""What a person sees of an HTML page: its elements with their attributes and texts, without styles and scripts."""

from __future__ import annotations

from html.parser import HTMLParser

_HIDDEN = ("style", "script")


def elements(page: str) -> list[str]:
    """The page's elements and texts in order."""
    reader = _Reader()
    reader.feed(page)
    return reader.found


def fields(page: str) -> list[str]:
    """The inputs, choices and labels of its forms."""
    return [each for each in elements(page) if each.startswith(("<input", "<select", "<option", "<label", "<form"))]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._hidden = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden = tag
        # Which picture the icon is, is the program's own.
        shown = [] if tag == "link" else attrs
        self.found.append(f"<{tag} {' '.join(f'{name}={value!r}' for name, value in shown)}>")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._hidden:
            self._hidden = ""
        self.found.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.found.append(" ".join(data.split()))
