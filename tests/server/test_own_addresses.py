"""This host's address or route changes under the sockets to an upstream (a VPN, DHCP): no question pays for it."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from dnsbridge.resolvers.forward.udp import UdpUpstream
from dnsbridge.resolvers.forward.zone import Forward
from tests.support.forwarding import ask, outcome, said
from tests.support.inside import inside
from tests.support.knot import Knot
from tests.support.links import Switch, must
from tests.support.namespace import Namespace

OLD, NEW, CORPORATE = "10.9.0.2", "10.9.0.3", "10.9.0.1"
ZONE = "$ORIGIN corp.example.\n$TTL 0\n@ SOA ns hostmaster 1 3600 600 86400 0\n@ NS ns\nns A 192.0.2.1\n* A 192.0.2.9\n"
QUESTIONS = 200
"""Enough that each of the 32 sockets of the pool is used before the change, and again after it."""


class Office(NamedTuple):
    """The host that forwards, and that of its upstream."""

    host: Namespace
    corporate: Namespace


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """Both, joined by a switch."""
    with Switch() as switch:
        corporate = switch.host(f"{CORPORATE}/24")
        host = switch.host(f"{OLD}/24")
        zones = {"corp.example": ZONE}
        with Knot(tmp_path / "knot", zones, address=CORPORATE, port=53, command_prefix=corporate.prefix):
            yield Office(host, corporate)


def renumber(office: Office) -> None:
    """The old address goes, another one comes."""
    must(office.host, "ip", "address", "add", f"{NEW}/24", "dev", "eth0")
    must(office.host, "ip", "address", "del", f"{OLD}/24", "dev", "eth0")
    must(office.host, "ip", "address", "replace", f"{NEW}/24", "dev", "eth0")


def leave_behind(office: Office) -> None:
    """The old address stays, but nothing comes back to it any more."""
    must(office.host, "ip", "address", "add", f"{NEW}/24", "dev", "eth0")
    must(office.host, "ip", "route", "replace", "10.9.0.0/24", "dev", "eth0", "src", NEW)
    must(office.corporate, "ip", "route", "add", "blackhole", f"{OLD}/32")


def replug(office: Office) -> None:
    """The link goes down and comes back, and its routes with it."""
    must(office.host, "ip", "link", "set", "eth0", "down")
    must(office.host, "ip", "link", "set", "eth0", "up")


@pytest.mark.needs("netns", "knotd")
@pytest.mark.parametrize("change", [renumber, leave_behind, replug], ids=lambda change: change.__name__)
def test_no_question_fails(office: Office, change: Callable[[Office], None]) -> None:
    """Every question is answered, before the change and after it, and the first one after it as well."""

    async def ask_all(forward: Forward, what: str) -> set[str]:
        queries = [ask(f"{what}{number}.corp.example") for number in range(QUESTIONS)]
        results = [await outcome(forward, query) for query in queries[:5]]
        results += await asyncio.gather(*(outcome(forward, query) for query in queries[5:]))
        return {said(query, got) for query, got in zip(queries, results, strict=True)}

    async def test() -> tuple[set[str], set[str], int, int]:
        upstream = UdpUpstream(CORPORATE)
        forward = Forward([upstream])
        try:
            while said(query := ask("first.corp.example"), await outcome(forward, query)) != "9":  # noqa: ASYNC110 - until Knot DNS listens
                await asyncio.sleep(0.05)  # delay: between two questions to a server that starts
            before = await ask_all(forward, "before")
            change(office)
            after = await ask_all(forward, "after")
            return before, after, upstream.own_errors, upstream.send_failures
        finally:
            await forward.close()

    before, after, own_errors, send_failures = inside(office.host, test)
    assert (before, after) == ({"9"}, {"9"})
    assert send_failures == 0
    assert (own_errors > 0) is (change is renumber)
