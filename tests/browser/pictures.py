"""Make the pictures of the page that README and docs/page.md show: `python -m tests.browser.pictures`.

They show the invented mesh, so that each run makes the same but for the times of day.
"""

import io
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.conftest import ARGUMENTS, Served
from tests.browser.invented_mesh import TOKEN, InventedMesh

COLOURS = 96  # a palette of so many makes a third of the bytes, and nobody sees it
FOLDER = Path(__file__).parents[2] / "docs"


def invent(mesh: InventedMesh) -> None:
    """A mesh in which something happens: one replica is ejected, one has faults, some requests fail."""
    mesh.replicas["service1"] = 5
    mesh.faults["service1-4"] = {"error_rate": 0.5}
    mesh.notice("scaled", "service1 has 5 replicas now.")
    mesh.eject("service1-2")
    for number in range(30):
        status, flags = (503, "UF,URX") if number % 7 == 3 else (200, "-")
        mesh.request(f"/service/{1 + number % 3 // 2}", status, flags, 4 + number % 5)


def save(screenshot: bytes, name: str) -> None:
    """Write it as a small PNG."""
    small = Image.open(io.BytesIO(screenshot)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    small.save(FOLDER / name, optimize=True)


def main() -> None:
    """One picture of each theme, and one of a telephone."""
    served = Served()
    served.do(lambda mesh: setattr(mesh, "refresh", 1.0))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        for name, scheme, width, height, opened in (
            ("page-light.png", "light", 1280, 900, "request"),
            ("page-dark.png", "dark", 1280, 900, "node"),
            ("page-narrow.png", "light", 390, 844, ""),
        ):
            served.reset()
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(f"{served.url}#token={TOKEN}")
            page.wait_for_selector(".node")
            served.do(invent)
            page.wait_for_selector(".stream tbody tr")
            if opened == "request":
                page.get_by_role("button", name="GET /service/2").first.click()
                page.wait_for_selector(".explanation")
            elif opened == "node":
                page.locator('.node[data-id="service1-4"]').click()
                page.wait_for_selector(".details canvas >> nth=1")
                page.wait_for_timeout(500)  # the chart draws its lines in the next frame
            save(page.screenshot(), name)
        browser.close()
    served.close()


if __name__ == "__main__":
    main()
