"""The program while somebody forges replies, each wrong in one field: none is taken, and every true one is."""

from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address
from typing import NamedTuple

import dns.message
import dns.rdatatype
import pytest

from tests.support.forger import FORGED, FORGERIES, Forger, Forgery
from tests.support.program import ROOT, Program, eventually

EXAMPLE = ROOT / "dnsbridge" / "example"
TRUE = IPv4Address("192.0.2.80")
EACH = 50
"""Forged replies before each true one: a quarter of what a socket's buffer has room for."""
NAMES = 8


class Office(NamedTuple):
    """What runs."""

    program: Program
    forger: Forger

    def mismatched(self) -> int:
        """How many datagrams the program has counted as answers to nothing."""
        upstream = f"127.0.0.1:{self.forger.port}"
        return int(self.program.metrics()[f'dnsbridge_upstream_mismatched_total{{upstream="{upstream}",zone="."}}'])


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    """The program before a forger."""
    with ExitStack() as running:
        forger = running.enter_context(Forger(lambda query: TRUE))
        program = running.enter_context(Program(EXAMPLE, upstreams=[f"127.0.0.1:{forger.port}"], http=True))
        program.ask("first.example")  # so that there is a port from which a question came
        yield Office(program, forger)


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.field.replace(" ", "-"))
def test_forged_replies(office: Office, forgery: Forgery) -> None:
    """Clients get the true answer, then and from the cache; what came to a socket of ours is counted, once each."""
    forger = office.forger
    before, sent = office.mismatched(), forger.forged[forgery.field]
    forger.silent = False
    forger.forgeries = [forgery] * EACH
    names = [f"{forgery.field.replace(' ', '-')}-{number}.example" for number in range(NAMES)]
    for name in names:
        assert addresses(office.program.ask(name)) == [TRUE]
    sent = forger.forged[forgery.field] - sent
    assert sent >= EACH * (NAMES - 1)
    expected = sent if forgery.received else 0
    eventually(lambda: office.mismatched() - before == expected)
    forger.silent = True
    for name in names:
        assert addresses(office.program.ask(name)) == [TRUE]


def addresses(message: dns.message.Message) -> list[IPv4Address]:
    """Those of all A records, wherever in the message."""
    sections = (message.answer, message.authority, message.additional)
    rrsets = [rrset for section in sections for rrset in section if rrset.rdtype == dns.rdatatype.A]
    found = [IPv4Address(item.address) for rrset in rrsets for item in rrset]
    assert FORGED not in found
    return found
