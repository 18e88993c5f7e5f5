"""Option 121: RFC 3442's own examples, an independent decoder, and real servers with a real client."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.routes.exports import About, Exported, Refused, export
from dnsbridge.routes.model import NextHop, Route, in_order
from tests.routes.exports.sets import MIXED, route
from tests.support.daemon import open_folder
from tests.support.dhcp import Pool, dnsmasq, kea, lease
from tests.support.links import Switch, must
from tests.support.namespace import Namespace
from tests.support.waiting import DEADLINE

GATEWAY = IPv4Address("10.0.0.1")
ABOUT = About(default_gateway=GATEWAY)
POOL = Pool("10.0.0.0/24", "10.0.0.50", "10.0.0.60")
TOO_MANY = [route(f"10.244.{number}.0/24", "10.0.0.11") for number in range(60)]
"""60 routes of 8 octets each: more than one option holds."""


def text(name: str, routes: Sequence[Route], about: About = ABOUT) -> str:
    """The text for routes."""
    made = export(name, routes, about)
    assert isinstance(made, Exported)
    return made.text


@pytest.mark.parametrize(
    ("prefix", "octets"),
    [
        ("10.0.0.0/8", "080a"),
        ("10.0.0.0/24", "180a0000"),
        ("10.17.0.0/16", "100a11"),
        ("10.27.129.0/24", "180a1b81"),
        ("10.229.0.128/25", "190a e5 00 80"),
        ("10.198.122.47/32", "20 0a c6 7a 2f"),
    ],
)
def test_destination_descriptors_of_the_rfc(prefix: str, octets: str) -> None:
    """The table of RFC 3442, page 4, with a router behind each."""
    want = bytes.fromhex(octets) + bytes([10, 0, 0, 1])
    assert bytes.fromhex(text("dhcp-hex", [route(prefix, "10.0.0.1")], About())) == want


def decoded(data: bytes) -> list[tuple[IPv4Network, IPv4Address]]:
    """What a client reads, written here from the RFC alone."""
    found = []
    octets = iter(data)
    for length in octets:
        significant = [next(octets) for _ in range(-(-length // 8))]
        network = bytes([*significant, 0, 0, 0, 0][:4])
        found.append((IPv4Network((network, length)), IPv4Address(bytes(next(octets) for _ in range(4)))))
    return found


@given(st.dictionaries(st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 32)), st.integers(1, 2**32 - 1), max_size=9))
def test_any_set_is_read_as_it_was_meant(pairs: dict[tuple[int, int], int]) -> None:
    """Decoding gives the default route and then the set; Kea's form has the same octets."""
    routes = {}
    for (number, length), router in pairs.items():
        prefix = IPv4Network((number >> (32 - length) << (32 - length), length))
        routes[prefix] = Route(prefix, (NextHop(ip_address(router)),))
    ordered = in_order(routes.values())
    data = bytes.fromhex(text("dhcp-hex", ordered))
    default = (IPv4Network("0.0.0.0/0"), GATEWAY)
    assert decoded(data) == [default, *[(each.prefix, each.next_hops[0].address) for each in ordered]]
    (option,) = json.loads(text("dhcp-kea", ordered))["option-data"]
    assert (option["code"], option["csv-format"], bytes.fromhex(option["data"])) == (121, False, data)


@pytest.mark.parametrize("name", ["dhcp-dnsmasq", "dhcp-kea", "dhcp-hex"])
def test_a_lost_default_route_is_said(name: str) -> None:
    """Without a default gateway the text is made, and a warning says what clients would lose."""
    made = export(name, [route("10.1.0.0/16", "10.0.0.1")], About())
    assert isinstance(made, Exported)
    assert [str(note) for note in made.notes] == [
        "the default route: clients that get option 121 ignore option 3 (RFC 3442), and lose it; "
        "name --default-gateway ADDR"
    ]


def test_a_set_that_is_too_large() -> None:
    """dnsmasq cannot send it, so there is no text; for others a note says how it must be sent."""
    made = export("dhcp-dnsmasq", TOO_MANY, ABOUT)
    assert isinstance(made, Refused)
    assert made.problem.startswith("dhcp-dnsmasq: 60 routes are 485 octets of option 121, and dnsmasq sends 255;")
    for name in ("dhcp-hex", "dhcp-kea"):
        other = export(name, TOO_MANY, ABOUT)
        assert isinstance(other, Exported)
        assert "485 octets" in other.notes[0].text
        assert "RFC 3396" in other.notes[0].text


@pytest.mark.needs("dnsmasq")
@pytest.mark.parametrize("count", [0, 1, 31])
def test_dnsmasq_reads_it(tmp_path: Path, count: int) -> None:
    """dnsmasq's own check takes the file, up to the last route that fits."""
    (tmp_path / "routes").write_text(text("dhcp-dnsmasq", TOO_MANY[:count]), encoding="utf-8")
    command = ["dnsmasq", "--test", f"--conf-file={tmp_path / 'routes'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert (done.returncode, done.stderr) == (0, "dnsmasq: syntax check OK.\n")


@pytest.mark.needs("dnsmasq")
def test_dnsmasq_would_refuse_what_is_refused(tmp_path: Path) -> None:
    """The bound is dnsmasq's own: a line that is one route longer fails its check."""
    line = text("dhcp-dnsmasq", TOO_MANY[:31]).splitlines()[-1]
    (tmp_path / "routes").write_text(f"{line},10.244.99.0/24,10.0.0.11\n", encoding="utf-8")
    command = ["dnsmasq", "--test", f"--conf-file={tmp_path / 'routes'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False)
    assert done.returncode == 1
    assert "dhcp-option too long" in done.stderr
    assert isinstance(export("dhcp-dnsmasq", TOO_MANY[:32], ABOUT), Refused)


@contextmanager
def server_and_client() -> Iterator[tuple[Namespace, Namespace, Path]]:
    """A DHCP server's host, one without an address, and a folder."""
    with Switch() as switch, open_folder() as folder:
        yield switch.host("10.0.0.2/24"), switch.host(), folder


def leased(client: Namespace, folder: Path) -> dict[str, str]:
    """The client's next hops by prefix while it has a lease."""
    with lease(client, folder):
        entries = json.loads(must(client, "ip", "-j", "-4", "route"))
    return {entry["dst"]: entry["gateway"] for entry in entries if "gateway" in entry}


def received(routes: Sequence[Route]) -> dict[str, str]:
    """What a client should have of routes: IPv4 with an address, and the default route."""
    ways = {
        str(each.prefix).removesuffix("/32"): str(each.next_hops[0].address)
        for each in routes
        if each.prefix.version == 4 and each.next_hops[0].address
    }
    return {"default": str(GATEWAY)} | ways


@pytest.mark.needs("netns", "ip", "dnsmasq", "dhclient")
def test_a_client_of_dnsmasq_has_the_routes() -> None:
    """dnsmasq with the printed line gives a real client every route, and its default route too."""
    with server_and_client() as (server, client, folder):
        with dnsmasq(server, POOL, text("dhcp-dnsmasq", MIXED), folder):
            routes = leased(client, folder)
        assert routes == received(MIXED)


@pytest.mark.needs("netns", "ip", "kea-dhcp4", "dhclient")
def test_a_client_of_kea_has_more_routes_than_an_option_holds() -> None:
    """Kea splits 485 octets into several options (RFC 3396), and a real client puts them together."""
    with server_and_client() as (server, client, folder):
        with kea(server, POOL, text("dhcp-kea", TOO_MANY), folder):
            routes = leased(client, folder)
        assert routes == received(TOO_MANY)
