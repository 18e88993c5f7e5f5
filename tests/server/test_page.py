"""The status page in a real Chromium: what somebody finds on it who has never seen it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import DESK, PHONE, Browser
from tests.support.namespace import Namespace
from tests.support.office_host import office_host
from tests.support.program import ROOT, Program
from tests.support.waiting import DEADLINE, eventually

pytestmark = pytest.mark.needs("chromium", "dig", "netns")

EXAMPLE = ROOT / "dnsbridge" / "example" / "cluster.yaml"
UNROUTED = "10.244.2.0/24"
HOSTILE = "<img src=x onerror=alert(1)>\u202egnp.exe"
expect.set_options(timeout=DEADLINE * 1000)


class Shown:
    """A program on a host whose table lacks the route to one node's pods, and a browser on the same host."""

    def __init__(self, host: Namespace, program: Program, browser: Browser, folder: Path) -> None:
        self.program = program
        self._host = host
        self.browser = browser
        self.folder = folder
        self.place = program.wait_for_log(r"metrics on (http://\S+)/metrics")[1]

    def ask_once(self) -> None:
        """Ask the program for a name of the cluster."""
        done = self._host.run("dig", "+short", "web.shop.svc.cluster.local")
        assert done.stdout.split() == ["10.96.12.34"], done

    def open(self, size: tuple[int, int] = DESK, scheme: str = "light") -> Page:
        """The page, as soon as it shows the routes."""
        page = self.browser.open(f"{self.place}/", size, scheme)  # type: ignore[arg-type]  # one of two words
        page.locator("#routes-picture svg").wait_for()
        return page


@pytest.fixture(scope="module", params=[1, 2])
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """The program alone, and with workers."""
    folder = tmp_path_factory.mktemp("page")
    shutil.copy(EXAMPLE, folder)
    settings = {
        "clusters": [{"name": "office", "aliases": ["dev.k8s.corp"], "source": {"manifests": str(folder)}}],
        "routes": {"sinks": ["kernel"], "service_cidrs": ["10.96.0.0/16"]},
        "workers": request.param,
    }
    with (
        office_host(missing=[UNROUTED]) as host,
        Program(settings=settings, listen=["127.0.0.1:53"], http=True, command_prefix=host.prefix) as program,
        Browser(host) as browser,
    ):
        yield Shown(host, program, browser, folder)
        assert not browser.troubles, browser.troubles


def look_up(page: Page, name: str) -> None:
    """Look a name up as a reader does."""
    page.get_by_role("textbox", name="Name or address").fill(name)
    page.get_by_role("button", name="Look up").click()


def test_why_a_name_does_not_work(shown: Shown) -> None:
    """The head of the page says what is wrong, and the look-up which link is broken and what mends it."""
    page = shown.open()
    expect(page.get_by_role("status")).to_contain_text("1 prefix is not routed")
    look_up(page, "kafka-2.kafka.data.svc.cluster.local")
    found = page.locator("#found")
    expect(found.locator(".verdict")).to_contain_text("route: this host has no route to the address")
    expect(found.locator(".chain li.failed")).to_have_count(1)
    expect(found.locator(".chain li.failed")).to_contain_text("dnsbridge routes plan")
    expect(found.locator(".command")).to_have_text("dnsbridge doctor kafka-2.kafka.data.svc.cluster.local")
    look_up(page, "kafka-0.kafka.data.svc.cluster.local")
    expect(found.locator(".verdict")).to_contain_text("no link is broken")
    look_up(page, "kafka-0.kafak.data.svc.cluster.local")
    expect(found.locator(".chain li.failed")).to_contain_text("dnsbridge doctor kafka-0.kafka.data.svc.cluster.local")
    look_up(page, "web..shop")
    expect(found.locator(".problem")).to_contain_text("use a name such as")


def test_the_picture(shown: Shown) -> None:
    """The one prefix without a route is red, in the picture and in the table, and the others are not."""
    page = shown.open()
    assert page.locator("#routes-picture .chip.bad").count() == 1
    assert page.locator("#routes-picture .chip.ok").count() == 3
    assert page.locator("#routes-picture .box.bad").count() == 1
    page.get_by_text("The same as a table").click()
    row = page.locator("#routes-table tr", has_text=UNROUTED)
    expect(row).to_contain_text("node-3")
    expect(row).to_contain_text("not routed")


def test_what_comes_and_goes(shown: Shown) -> None:
    """A service that comes and goes is on the page by itself, with its time; what was there at first is no news."""
    page = shown.open()
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "billing", "namespace": "shop"}}
    file = shown.folder / "more.json"
    file.write_text(json.dumps({**service, "spec": {"clusterIP": "10.96.7.7"}}), encoding="utf-8")
    expect(page.locator("#changes li").first).to_contain_text("came")
    expect(page.locator("#changes li").first).to_contain_text("shop/billing")
    file.unlink()
    expect(page.locator("#changes li").first).to_contain_text("went")
    assert page.locator("#changes li").count() == 2


def test_hostile_names(shown: Shown) -> None:
    """HTML is shown as text, and characters that turn or hide text are written out."""
    page = shown.open()
    look_up(page, HOSTILE)
    expect(page.locator("#found .problem")).to_contain_text("not printable")
    look_up(page, "<img/src=x>.shop.svc.cluster.local")
    expect(page.locator("#found dl")).to_contain_text("<img/src=x>.shop.svc.cluster.local. A")
    assert page.locator("img").count() == 0
    written = page.evaluate("plain('a\\u202eb\\u0007c')")
    assert written == "a\\u202eb\\u0007c"


def test_keyboard_alone(shown: Shown) -> None:
    """The first stop leads to the look-up, which Enter starts; every stop can be seen."""
    page = shown.open()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.keyboard.type("web.shop.svc.cluster.local")
    page.keyboard.press("Enter")
    expect(page.locator("#found .verdict")).to_contain_text("NOERROR")
    seen: set[str] = set()
    for _stop in range(30):
        page.keyboard.press("Tab")
        focused = "document.activeElement === document.body ? '' : document.activeElement.outerHTML.slice(0, 60)"
        if not (tag := page.evaluate(focused)):
            break
        seen.add(tag)
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid", tag
    assert any("summary" in each for each in seen)
    assert any("/metrics" in each for each in seen)


def test_landmarks(shown: Shown) -> None:
    """A screen reader finds landmarks, one heading of each part, and hears the summary and the answer."""
    page = shown.open()
    for landmark in ("banner", "main", "contentinfo", "search"):
        assert page.get_by_role(landmark).count() == 1, landmark
    assert page.get_by_role("heading", level=1).count() == 1
    assert page.get_by_role("heading", level=2).count() == page.locator("main > section").count()
    for live in ("#summary", "#found"):
        assert page.locator(live).get_attribute("aria-live") == "polite"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(shown: Shown, scheme: str) -> None:
    """All text has the contrast of WCAG 2.2 AA (4.5 to 1) to what is behind it."""
    page = shown.open(scheme=scheme)
    look_up(page, "kafka-2.kafka.data.svc.cluster.local")
    page.locator("#found .failed-why").wait_for()
    low = page.evaluate((Path(__file__).parent / "contrast.js").read_text(encoding="utf-8"))
    assert not low, low
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (dark == "rgb(15, 23, 25)") is (scheme == "dark")


def test_phone(shown: Shown) -> None:
    """On a phone nothing is wider than the screen, and the picture has one column."""
    page = shown.open(PHONE)
    look_up(page, "kafka-2.kafka.data.svc.cluster.local")
    page.locator("#found .failed-why").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    picture = page.locator("#routes-picture svg").bounding_box()
    assert picture
    assert picture["height"] > picture["width"]


def test_live_figures(shown: Shown) -> None:
    """Questions are in the figures within some seconds, by RCODE."""
    page = shown.open()

    def asked() -> bool:
        shown.ask_once()
        return "NOERROR" in (page.locator("#by-rcode-legend").text_content() or "")

    eventually(asked)
    assert float((page.locator("#rate").text_content() or "").replace(",", "")) >= 0
