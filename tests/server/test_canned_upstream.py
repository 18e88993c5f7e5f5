"""ldns-testns as the upstream: a server of other people that gives canned answers, never with an OPT record."""

from collections.abc import Iterator
from typing import NamedTuple

import dns.rcode
import pytest

from tests.support.daemon import Daemon
from tests.support.knot import ADDRESS, free_port
from tests.support.program import ROOT, Program, records

pytestmark = pytest.mark.needs("ldns-testns")


class Entry(NamedTuple):
    """What ldns-testns answers to a name, and what a client gets."""

    name: str
    reply: str
    """Flags and RCODE."""
    sections: str
    rcode: str
    answer: list[str]


PLAIN = "plain.example. 60 IN A 192.0.2.1"
WEB = "web.shop.svc.cluster.local. 5 IN A 10.96.12.34"
ENTRIES = [
    Entry(
        "plain", "QR RA", "ANSWER\nplain.example. 60 IN A 192.0.2.1", "NOERROR", ["plain.example. 60 IN A 192.0.2.1"]
    ),
    Entry("none", "QR RA NXDOMAIN", "AUTHORITY\nexample. 60 IN SOA a. b. 1 2 3 4 60", "NXDOMAIN", []),
    Entry("old", "QR RA FORMERR", "", "FORMERR", []),
    Entry("new", "QR RA NOTIMPL", "", "NOTIMP", []),
    Entry("refers", "QR", "AUTHORITY\nrefers.example. 60 IN NS ns.refers.example.", "SERVFAIL", []),
    Entry(
        "app",
        "QR RA",
        "ANSWER\napp.example. 60 IN CNAME web.shop.svc.cluster.local.",
        "NOERROR",
        ["app.example. 60 IN CNAME web.shop.svc.cluster.local.", WEB],
    ),
    Entry(
        "dead",
        "QR RA NXDOMAIN",
        "ANSWER\ndead.example. 60 IN CNAME web.shop.svc.cluster.local.",
        "NOERROR",
        ["dead.example. 60 IN CNAME web.shop.svc.cluster.local.", WEB],
    ),
    Entry(
        "loop",
        "QR RA",
        "ANSWER\nloop.example. 60 IN CNAME loop.example.",
        "SERVFAIL",
        [],
    ),
]


def canned(entry: Entry) -> str:
    """The entry of a data file, by the name alone."""
    question = f"SECTION QUESTION\n{entry.name}.example. IN A"
    section = f"SECTION {entry.sections}\n" if entry.sections else ""
    return f"ENTRY_BEGIN\nMATCH qname\nREPLY {entry.reply}\nADJUST copy_id\n{question}\n{section}ENTRY_END\n"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program before ldns-testns."""
    folder = tmp_path_factory.mktemp("canned")
    file, port = folder / "data", free_port()
    file.write_text("".join(map(canned, ENTRIES)), encoding="utf-8")
    with (
        Daemon(None, ["ldns-testns", "-p", str(port), str(file)], folder / "log") as testns,
        # Without a cache, in which TTLs count down.
        Program(
            ROOT / "dnsbridge" / "example", settings={"cache": {"size": 0}}, upstreams=[f"{ADDRESS}:{port}"]
        ) as program,
    ):
        testns.wait(lambda: bool(program.ask("plain.example").answer))
        yield program


@pytest.mark.parametrize("edns", [False, 0], ids=["plain", "EDNS"])
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_canned(program: Program, entry: Entry, edns: int | bool) -> None:
    """Clients with and without EDNS get what there is, and those with EDNS an OPT record of ours."""
    got = program.ask(f"{entry.name}.example", edns=edns)
    assert (dns.rcode.to_text(got.rcode()), records(got.answer)) == (entry.rcode, entry.answer)
    assert got.edns == (-1 if edns is False else 0)
