"""What the sandbox's document promises of an answer, and how to read it. No runtime is known here."""

import re

import httpx

HEADERS = ["content-type", "content-length", "server", "date", "x-envoy-upstream-service-time"]
HELLO = re.compile(
    r"Hello from behind Envoy \(service (?P<service>\d)\)! hostname: (?P<hostname>\S+) "
    r"resolvedhostname: \d{1,3}(?:\.\d{1,3}){3}\n?"
)


def hostname(response: httpx.Response, service: int = 1) -> str:
    """The replica that answered, after a check that the answer is the document's."""
    assert response.status_code == 200, response.text
    said = HELLO.fullmatch(response.text)
    assert said, response.text
    assert said["service"] == str(service)
    return said["hostname"]


def stats(admin: httpx.Client) -> dict[str, int]:
    """/stats as name -> value; histograms and text are left out."""
    pairs = (line.rpartition(": ") for line in admin.get("/stats").text.splitlines())
    return {name: int(value) for name, _, value in pairs if value.isdigit()}
