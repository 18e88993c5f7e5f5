"""GET /api/status, /api/events and /api/lookup of a running server, as programs and browsers ask for them."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.apiserver.access import ADMIN
from tests.apiserver.faults import Slow, Stall
from tests.apiserver.seed import Shape, cluster
from tests.apiserver.server import ApiServer, in_thread
from tests.support.browser import Browser
from tests.support.cluster_server import following
from tests.support.office_host import ADDRESS, office_host
from tests.support.program import DEADLINE, ROOT, Program, eventually

EXAMPLE = ROOT / "dnsbridge" / "example"
PAGES = 100


class Place:
    """The HTTP address of a program."""

    def __init__(self, program: Program) -> None:
        self.url = program.wait_for_log(r"metrics on (https?://\S+)/metrics")[1]
        self.address = urlsplit(self.url).hostname or "", urlsplit(self.url).port or 0

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """The status and the body of an answer."""
        connection = http.client.HTTPConnection(*self.address, timeout=DEADLINE)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def json(self, path: str) -> Any:
        """The document at a path."""
        status, body = self.get(path)
        assert status == 200, body
        return json.loads(body)

    @contextmanager
    def page(self) -> Iterator[socket.socket]:
        """An open page; what is yielded has the octets of its events."""
        with socket.create_connection(self.address, DEADLINE) as opened:
            host = f"{self.address[0]}:{self.address[1]}"
            opened.sendall(f"GET /api/events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            yield opened


@pytest.fixture(scope="module", params=[1, 2])
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    """The example cluster, in one process and with workers."""
    with Program(EXAMPLE, http=True, options=["--workers", str(request.param)]) as program:
        yield program


def test_status(program: Program) -> None:
    """The keys that programs rely on, and figures that follow the questions of all workers."""
    place = Place(program)
    status = place.json("/api/status")
    assert set(status) == {
        *("version", "at", "started_at", "workers", "waiting_for", "clusters", "zones", "upstreams"),
        *("totals", "sample", "history", "routes", "changes"),
    }
    (cluster,) = status["clusters"]
    assert (cluster["name"], cluster["zone"], cluster["freshness"]) == ("default", "cluster.local", "fresh")
    assert cluster["services"] == ["10.96.0.0/16", "fd00:10:96::/112"]
    assert {"zone": ".", "kind": "forward", "cluster": "", "upstreams": [status["upstreams"][0]["server"]]} in status[
        "zones"
    ]
    asked = status["totals"]["queries"]
    for _question in range(5):
        program.ask("web.shop.svc.cluster.local")
    program.ask("no.shop.svc.cluster.local")
    eventually(lambda: place.json("/api/status")["totals"]["queries"] == asked + 6)
    totals = place.json("/api/status")["totals"]
    assert totals["rcodes"] == {"NOERROR": 5, "NXDOMAIN": 1}


@pytest.mark.parametrize(
    ("name", "rcode", "failed"),
    [
        ("web.shop.svc.cluster.local", "NOERROR", []),
        ("web.shop.svc.cluster.local.", "NOERROR", []),
        ("webb.shop.svc.cluster.local", "NXDOMAIN", ["object"]),
        ("10.96.12.34", "NOERROR", []),
        ("www.example.com", "SERVFAIL", ["answer"]),
    ],
)
def test_lookup(program: Program, name: str, rcode: str, failed: list[str]) -> None:
    """The answer with its reasons, and of the chain what the server sees; the rest is said to be unseen."""
    found = Place(program).json(f"/api/lookup?name={name}")
    assert found["explanation"]["rcode"] == rcode
    links = {each["link"]: each for each in found["chain"]}
    # This host may have a route there or none.
    assert [name for name, each in links.items() if each["state"] == "failed" and name != "route"] == failed
    for unseen in ("resolver", "this host", "connection", "path MTU"):
        assert not links or links[unseen]["state"] == "unknown"
    assert found["command"] == f"dnsbridge doctor {name.rstrip('.')}"


@pytest.mark.parametrize("name", ["a..b", "x" * 64, "\u202eweb", "a\nb", "web&type=NONE"])
def test_no_name(program: Program, name: str) -> None:
    """What is no name or no type is said in a line."""
    path = name.replace("&type=", "\0").split("\0")
    more = f"&type={path[1]}" if len(path) > 1 else ""
    status, body = Place(program).get(f"/api/lookup?name={quote(path[0])}{more}")
    assert (status, body.count(b"\n")) == (400, 1)


def test_a_hundred_pages(program: Program) -> None:
    """A hundred open pages get their events, one more is refused, and questions are answered all the while."""
    place = Place(program)
    with ExitStack() as opened:
        pages = [opened.enter_context(place.page()) for _ in range(PAGES)]
        for each in pages:
            assert b"event: status" in read_until(each, b"event: change")
        assert place.get("/api/events")[0] == 503
        assert program.ask("web.shop.svc.cluster.local").answer
    eventually(lambda: opens(place))


def opens(place: Place) -> bool:
    """Whether a page can be opened."""
    with place.page() as page:
        return b"200 OK" in page.recv(64)


def read_until(page: socket.socket, end: bytes) -> bytes:
    """The octets of a page up to some."""
    octets = b""
    while end not in octets:
        more = page.recv(1 << 16)
        assert more, octets
        octets += more
    return octets


def test_end_with_open_pages() -> None:
    """An open page keeps no server from ending."""
    with Program(EXAMPLE, http=True) as program, Place(program).page() as page:
        read_until(page, b"event: status")
        program.stop()
        while page.recv(1 << 16):
            pass


def test_host_header(program: Program) -> None:
    """A name that was made to lead here (DNS rebinding) gets nothing."""
    place = Place(program)
    for path in ("/", "/api/status", "/api/events", "/api/lookup?name=web", "/upstreams"):
        assert place.get(path, Host="rebound.example")[0] == 421
    assert place.get("/", Host="localhost:9153")[0] == 200


@pytest.mark.needs("chromium", "curl", "netns")
def test_token_in_a_browser(tmp_path: Path) -> None:
    """At another address a browser asks for a password, which is the token, and uses it for all that the page needs."""
    (tmp_path / "token").write_text("secret\n", encoding="utf-8")
    settings = {"clusters": [{"source": {"manifests": str(EXAMPLE)}}], "http": f"{ADDRESS}:9153"}
    with (
        office_host() as host,
        Program(
            settings={**settings, "routes": {"serve": {"token_file": str(tmp_path / "token")}}},
            listen=["127.0.0.1:53"],
            options=["--http", f"{ADDRESS}:9153"],
            command_prefix=host.prefix,
        ),
        Browser(host) as browser,
    ):
        place = f"http://{ADDRESS}:9153"
        page = browser.open(f"{place}/", credentials={"username": "anybody", "password": "secret"})
        page.locator("#clusters .state.ok").wait_for()
        for path, status in (("/", "401"), ("/api/status", "401"), ("/page.js", "401"), ("/healthz", "200")):
            got = host.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", f"{place}{path}")
            assert got.stdout == status, path
        bearer = host.run("curl", "-s", "-H", "Authorization: Bearer secret", f"{place}/api/status")
        assert json.loads(bearer.stdout)["clusters"][0]["name"] == "default"
        # The browser says the first refusal, which made it ask for the password.
        assert not [each for each in browser.troubles if "401" not in each]


@pytest.mark.needs("chromium")
def test_progress(tmp_path: Path) -> None:
    """While a cluster is read the page says how much has come and how much is left."""
    with in_thread(ApiServer()) as server:
        server.watches.streaming_lists = False
        server.change(put=cluster(Shape(services=620, headless=5, namespaces=3, endpoints_per_slice=1)))
        server.faults.add(Slow(1 << 30), "services", "list")
        server.faults.add(Stall(headers=False), "services", "list")
        source = {"kubeconfig": str(server.kubeconfig(tmp_path / "kubeconfig", ADMIN)), "silence": "300s"}
        with following(server, tmp_path, wait=False, patient=False, source=source) as followed, Browser() as browser:
            page = browser.open(f"{Place(followed.program).url}/")
            reading = page.locator("#clusters .reading li", has_text="services")
            reading.get_by_text("500 read, ").wait_for()
            assert int(reading.locator("progress").get_attribute("max") or "0") > 500
            assert "not read yet" in (page.locator("#summary").text_content() or "")
