"""The page in a real browser, used as people use it: with eyes, hands, a keyboard, a telephone, a screen reader."""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from tests.browser.conftest import Served

pytestmark = pytest.mark.slow

NOT_KNOWN = "\u2013"


def shown(page: Any) -> list[str]:
    """The names in the picture, from top to bottom."""
    return [str(each) for each in page.locator(".node .name").all_text_contents()]


def label(page: Any, name: str) -> str:
    """What a screen reader says of a node or an edge."""
    return str(page.locator(f'[data-id="{name}"]').get_attribute("aria-label"))


def wait_for_label(page: Any, name: str, words: str) -> None:
    page.wait_for_selector(f'[data-id="{name}"][aria-label*="{words}"]')


def eventually(page: Any, condition: Callable[[], Any]) -> None:
    """Wait until the condition holds; the page's policy forbids playwright's own way, which evaluates a text in it."""
    for _ in range(400):
        if condition():
            return
        page.wait_for_timeout(25)
    pytest.fail("it did not become so in ten seconds")


# The picture


def test_the_picture_shows_every_proxy_and_replica_with_its_figures(page: Any) -> None:
    assert sorted(shown(page)) == ["clients", "front-envoy-1", "service1-1", "service1-2", "service2-1"]
    assert label(page, "front-envoy-1>service1-1") == (
        "front-envoy-1 to service1-1: healthy, 13.3 requests a second, 0.0 errors a second, p50 1.2 ms, p99 4.3 ms"
    )
    assert page.locator(".totals dd").all_text_contents() == ["40.0", "0.0", "1.9", "6.4", "3"]


def test_tiers_stand_from_left_to_right_and_nothing_overlaps(page: Any, served: Served) -> None:
    served.do(lambda mesh: mesh.replicas.update(service1=12))
    page.wait_for_selector('.node[data-id="service1-12"]')
    boxes = {each.get_attribute("data-id"): each.locator("rect").bounding_box() for each in page.locator(".node").all()}
    ends = {
        name: (box["x"], box["x"] + box["width"], box["y"], box["y"] + box["height"]) for name, box in boxes.items()
    }
    assert ends["clients"][1] < ends["front-envoy-1"][0] < ends["front-envoy-1"][1] < ends["service1-1"][0]
    spans = sorted((top, bottom) for name, (_, _, top, bottom) in ends.items() if name.startswith("service"))
    assert all(before[1] < after[0] for before, after in pairwise(spans))
    order = sorted((name for name in ends if name.startswith("service1")), key=lambda name: ends[name][2])
    assert order == [f"service1-{number}" for number in range(1, 13)]


def test_a_scale_up_appears_in_picture_table_and_notices(page: Any, served: Served) -> None:
    page.get_by_role("button", name="One replica more of service1").click()
    page.wait_for_selector('.node[data-id="service1-3"]')
    assert page.get_by_label("Replicas of service1", exact=True).text_content() == "3"
    assert "service1 has 3 replicas now." in page.locator(".notices").inner_text()
    assert ("scale", {"service": "service1", "replicas": 3}) in served.mesh.asked
    page.get_by_role("button", name="Table").click()
    assert page.get_by_role("row", name=re.compile("service1-3 healthy")).count() == 1


def test_a_kill_is_seen_by_word_and_shape(page: Any, served: Served) -> None:
    well = page.locator('.node[data-id="service1-2"] .shape').get_attribute("d")
    served.do(lambda mesh: mesh.kill("service1-2"))
    wait_for_label(page, "service1-2", "stopped")
    assert page.locator('.node[data-id="service1-2"] .more').text_content() == "stopped"
    assert page.locator('.node[data-id="service1-2"] .shape').get_attribute("d") != well


def test_an_ejection_is_seen_at_the_replica_and_on_its_edge_and_goes_again(page: Any, served: Served) -> None:
    served.do(lambda mesh: mesh.eject("service1-2"))
    wait_for_label(page, "service1-2", "ejected")
    assert page.locator('.edge[data-id="front-envoy-1>service1-2"] .word').text_content() == "ejected"
    served.do(lambda mesh: mesh.flags.clear())
    wait_for_label(page, "service1-2", "healthy")
    assert page.locator(".edge .word").count() == 0


def test_a_hundred_replicas_are_drawn_and_gone_again(page: Any, served: Served) -> None:
    served.do(lambda mesh: mesh.replicas.update(service1=60))
    page.wait_for_selector('.node[data-id="service1-60"]')
    served.do(lambda mesh: mesh.replicas.update(service1=1))
    page.wait_for_selector('.node[data-id="service1-60"]', state="detached")
    assert page.locator(".node").count() == 4


# What is selected


def test_a_click_on_a_replica_shows_figures_stats_and_configuration(page: Any) -> None:
    page.locator('.node[data-id="service1-1"]').click()
    page.wait_for_selector(".details canvas")
    assert page.locator(".details canvas").count() == 2
    assert page.locator("#details-title").text_content() == "service1-1"
    page.get_by_label("Show only stats with these words").fill("rq_20")
    assert page.locator(".stats tbody tr").count() == 10
    page.get_by_text("Configuration").click()
    assert "lb_policy: ROUND_ROBIN" in page.locator(".yaml pre").inner_text()
    assert "front-envoy/envoy.yaml:28" in page.locator(".yaml summary").inner_text()


def test_what_is_selected_and_leaves_the_mesh_is_said_to_have_left(page: Any, served: Served) -> None:
    page.locator('.node[data-id="service1-2"]').click()
    served.do(lambda mesh: mesh.replicas.update(service1=1))
    page.get_by_text("It is no longer part of the mesh.").wait_for()


# Requests


def test_requests_of_both_tiers_are_one_line_with_two_rows_of_bars(page: Any, served: Served) -> None:
    served.do(lambda mesh: mesh.request())
    page.wait_for_selector(".stream tbody tr")
    assert page.locator(".stream tbody tr").count() == 1
    rows = {each.get_attribute("y") for each in page.locator(".stream .phase").all()}
    assert rows == {"1", "9"}


def test_a_click_on_a_request_shows_its_time_in_both_tiers_and_its_explanation(page: Any, served: Served) -> None:
    served.do(lambda mesh: mesh.request("/service/2", ms=6.4))
    page.get_by_role("button", name="GET /service/2").click()
    page.wait_for_selector(".explanation")
    assert page.locator(".waterfall-whole .sum td").all_text_contents() == ["6.4", "4.2"]
    said = page.locator(".explanation").inner_text()
    assert "Route 1 does not match front-envoy/envoy.yaml:41" in said
    assert "the path '/service/2' does not fit prefix '/service/1'" in said
    assert "Route 2 matches front-envoy/envoy.yaml:43" in said
    assert "tried again up to 3 times" in said
    assert "To the cluster service2 front-envoy/envoy.yaml:44" in said


def test_the_filter_shows_what_has_all_words_and_not_what_is_excluded(page: Any, served: Served) -> None:
    served.do(lambda mesh: [mesh.request(), mesh.request("/other", 503, "UF,URX")])
    page.wait_for_selector(".stream tbody tr:nth-child(2)")
    words = page.get_by_label("Show only requests with these words")
    for text, paths in (("503 uf", ["GET /other"]), ("-503", ["GET /service/1"]), ("/nowhere", [])):
        words.fill(text)
        eventually(page, lambda paths=paths: page.locator(".stream td.path").all_text_contents() == paths)


def test_a_paused_stream_stands_and_then_goes_on(page: Any, served: Served) -> None:
    served.do(lambda mesh: mesh.request("/before"))
    page.get_by_role("button", name="GET /before").wait_for()
    page.get_by_role("button", name="Pause").click()
    served.do(lambda mesh: [mesh.request("/meanwhile"), mesh.notice("page", "seen")])
    page.get_by_text("seen").wait_for()
    assert page.locator(".stream tbody tr").count() == 1
    page.get_by_role("button", name="Go on").click()
    served.do(lambda mesh: mesh.request("/after"))
    page.get_by_role("button", name="GET /after").wait_for()


def test_lists_are_bounded_however_long_the_page_is_open(page: Any, served: Served) -> None:
    for _ in range(10):
        served.do(lambda mesh: [mesh.request(f"/{number}") for number in range(50)])
    served.do(lambda mesh: [mesh.notice("page", f"notice {number}") for number in range(100)])
    page.get_by_text("notice 99").wait_for()
    assert page.locator(".stream tbody tr").count() == 60
    kept = page.evaluate(
        "import('/static/js/store.js').then((store) => [store.requests.value.length, store.notices.value.length])"
    )
    assert kept == [300, 30]


# The lab


def test_once_sends_what_the_form_says_and_shows_the_answer(page: Any, served: Served) -> None:
    page.get_by_label("Path").fill("/service/2")
    page.get_by_label("Method").select_option("POST")
    page.get_by_text("Headers").click()
    page.get_by_label("Headers, one a line").fill("x-user: ada\nx-time: 12:30")
    page.get_by_role("button", name="Once").click()
    page.get_by_text("Hello from behind Envoy").wait_for()
    what, asked = served.mesh.asked[-1]
    assert (what, asked["method"], asked["path"], asked["how"]) == ("send", "POST", "/service/2", "once")
    assert asked["headers"] == {"x-user": "ada", "x-time": "12:30"}


def test_ten_a_second_can_be_stopped_and_a_burst_sent(page: Any, served: Served) -> None:
    page.get_by_role("button", name="10 a second").click()
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="10 a second").wait_for()
    page.get_by_role("button", name="Burst of 100").click()
    eventually(page, lambda: len(served.mesh.asked) == 3)
    assert [(asked["how"], asked["rate"], asked["count"]) for _, asked in served.mesh.asked] == [
        ("rate", 10, 100),
        ("stop", 10, 100),
        ("burst", 10, 100),
    ]


def test_faults_are_switched_on_and_off(page: Any, served: Served) -> None:
    page.get_by_label("Replica", exact=True).select_option("service1-2")
    page.get_by_label("Share of errors, 0 to 1").fill("0.5")
    page.get_by_label("Hang").check()
    page.get_by_role("button", name="Apply").click()
    wait_for_label(page, "service1-2", "faulty, faults: error rate 0.5, hang")
    page.get_by_role("button", name="No faults").click()
    wait_for_label(page, "service1-2", "healthy")
    assert served.mesh.faults == {"service1-2": {}}


def test_a_replica_is_killed_from_the_lab(page: Any, served: Served) -> None:
    page.get_by_label("Replica", exact=True).select_option("service2-1")
    page.get_by_role("button", name="Kill").click()
    wait_for_label(page, "service2-1", "stopped")
    assert served.mesh.asked == [("replica", {"replica": "service2-1", "action": "kill"})]


def test_weights_and_runtime_values_are_changed(page: Any, served: Served) -> None:
    page.get_by_label("Weight of canary").fill("50")
    eventually(page, lambda: served.mesh.weights == {"stable": 90, "canary": 50})
    eventually(page, lambda: page.locator(".weight output").all_text_contents() == ["90", "50"])
    page.get_by_label("Runtime key").fill("upstream.healthy_panic_threshold")
    page.get_by_label("Runtime value").fill("10")
    page.get_by_role("button", name="Set").click()
    page.locator(".values").get_by_text("upstream.healthy_panic_threshold").wait_for()
    assert served.mesh.runtime == {"canary.weights.canary": "50", "upstream.healthy_panic_threshold": "10"}


def test_an_example_is_started_and_left_and_says_what_to_watch(page: Any, served: Served) -> None:
    page.get_by_text("Canary by weight").click()
    assert page.locator(".examples details[open] ul li").count() == 3
    page.get_by_role("button", name="Start it").click()
    page.get_by_role("button", name="Back to the plain mesh").click()
    page.get_by_role("button", name="Back to the plain mesh").wait_for(state="detached")
    assert served.mesh.asked == [("example", {"name": "canary-by-weight"}), ("example", {"name": None})]


def test_what_cannot_be_done_says_why(page: Any, served: Served) -> None:
    served.do(lambda mesh: mesh.can.update(scale="Here Compose scales: docker compose up -d --scale service1=3"))
    page.get_by_text("Here Compose scales").wait_for()
    assert page.get_by_role("button", name="One replica more of service1").is_disabled()
    assert page.get_by_role("button", name="Once").is_enabled()


def test_without_the_token_everything_is_read_and_nothing_changed(open_page: Callable[..., Any]) -> None:
    page = open_page(token=False)
    assert page.locator(".node").count() == 5
    assert page.get_by_text("This page was opened without its token").first.is_visible()
    assert page.locator(".lab button:enabled").count() == 0


def test_the_token_is_not_left_in_the_address(page: Any, served: Served) -> None:
    assert page.url == served.url


def test_an_error_of_the_server_is_a_sentence(open_page: Callable[..., Any], served: Served) -> None:
    page = open_page()
    page.evaluate("sessionStorage.setItem('envoymesh-token', 'another')")
    page.get_by_role("button", name="Once").click()
    page.get_by_text("The token is missing.").wait_for()
    assert "403" in open_page.complaints.pop()  # type: ignore[attr-defined]
    assert served.mesh.asked == []


def test_a_mesh_that_goes_away_is_said_so_and_comes_back_by_itself(
    open_page: Callable[..., Any], served: Served
) -> None:
    page = open_page()
    served.do(lambda mesh: setattr(mesh, "away", True))
    page.get_by_role("alert").get_by_text("The mesh does not answer.").wait_for()
    assert page.locator(".node").count() == 5
    served.mesh.away = False
    page.get_by_role("alert").wait_for(state="detached")
    open_page.complaints.clear()  # type: ignore[attr-defined]  # the browser tells of what did not answer


# For everybody


FOCUSED = """() => {
    const on = document.activeElement;
    if (on === document.body) return ["", true];
    const shape = on.querySelector(":scope > rect, :scope > .line");
    const thick = shape && parseFloat(getComputedStyle(shape).strokeWidth) >= 3;
    const seen = getComputedStyle(on).outlineStyle !== "none" || thick;
    return [on.dataset.id || on.getAttribute("aria-label") || on.textContent.trim(), Boolean(seen)];
}"""


def test_all_can_be_reached_by_keyboard_with_a_focus_that_is_seen(page: Any) -> None:
    reached = []
    for _ in range(45):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(FOCUSED))
    names = {name for name, _ in reached}
    assert names >= {"service1-1", "front-envoy-1>service1-2", "Pause", "Path", "Once", "Weight of canary", "Retries"}
    assert [name for name, seen in reached if not seen] == []


def test_enter_opens_and_escape_closes_and_the_focus_is_back(page: Any) -> None:
    page.locator('.node[data-id="service1-2"]').focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#details-title")
    assert page.evaluate("document.activeElement.id") == "details-title"
    page.keyboard.press("Escape")
    page.wait_for_selector("#details-title", state="detached")
    assert page.evaluate("document.activeElement.dataset.id") == "service1-2"


def test_a_screen_reader_gets_a_table_and_notices_politely(page: Any, served: Served) -> None:
    served.do(lambda mesh: mesh.eject("service1-2"))
    row = page.get_by_role("row", name=re.compile("service1-2 ejected"))
    row.wait_for(state="attached")
    assert row.get_by_role("cell").all_text_contents() == [
        "ejected",
        "front-envoy-1 (ejected)",
        "0.0",
        "0.0",
        NOT_KNOWN,
        NOT_KNOWN,
    ]
    assert page.get_by_role("rowheader", name="service1-2").count() == 1
    assert page.locator("[aria-live]").count() == 1
    assert page.locator("[aria-live=polite]").inner_text().count("was ejected") == 1


@pytest.mark.parametrize("width", [320, 390, 768])
def test_narrow_screens_do_not_scroll_sideways(open_page: Callable[..., Any], served: Served, width: int) -> None:
    served.do(lambda mesh: [mesh.replicas.update(service1=12), mesh.request("/" + "long" * 60)])
    page = open_page(viewport={"width": width, "height": 800})
    served.do(lambda mesh: mesh.request("/" + "long" * 60, 503, "UF,URX"))
    page.wait_for_selector(".stream tbody tr")
    page.locator('.node[data-id="service1-12"]').click()
    page.wait_for_selector(".details canvas")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_motion_stops_where_people_want_none(open_page: Callable[..., Any]) -> None:
    still = open_page(reduced_motion="reduce")
    assert still.evaluate("document.getAnimations().length") == 0
    assert open_page().evaluate("document.getAnimations().length") > 0


CONTRAST = """() => {
    const light = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((each) => each / 255)
            .map((each) => (each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        for (; element; element = element.parentElement) {
            const style = getComputedStyle(element);
            if (element.matches("g.node")) return getComputedStyle(element.querySelector("rect")).fill;
            if (!/, 0\\)$|transparent/.test(style.backgroundColor)) return style.backgroundColor;
        }
        return "rgb(255, 255, 255)";
    };
    const found = [];
    for (const element of document.querySelectorAll("body *")) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!own || element.closest(":disabled, option") || !element.checkVisibility()) continue;
        const style = getComputedStyle(element);
        const own_colour = element.ownerSVGElement ? style.fill : style.color;
        const colours = [own_colour, ground(element)].map(light).sort((a, b) => b - a);
        const kind = element.className.baseVal ?? element.className;
        found.push([(colours[0] + 0.05) / (colours[1] + 0.05), `${kind} ${element.textContent}`]);
    }
    return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(open_page: Callable[..., Any], served: Served, scheme: str) -> None:
    served.do(lambda mesh: [mesh.eject("service1-2"), mesh.faults.update({"service1-1": {"error_rate": 0.5}})])
    page = open_page(color_scheme=scheme)
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    served.do(lambda mesh: [mesh.request(), mesh.request("/x", 503, "UF"), mesh.request("/y", 404, "NR")])
    page.get_by_role("button", name="GET /y").click()
    page.wait_for_selector(".explanation")
    found = page.evaluate(CONTRAST)
    assert len(found) > 80
    assert [(round(ratio, 2), text) for ratio, text in found if ratio < 4.5] == []


def test_the_switch_changes_the_theme_and_is_remembered(page: Any) -> None:
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.reload()
    page.get_by_role("button", name="Light").wait_for()
