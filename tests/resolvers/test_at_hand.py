"""Which questions can be answered without asking anybody: names of clusters, and what is in the cache."""

import asyncio

import dns.flags
import dns.message
import dns.rdata
import dns.rrset
import pytest

from dnsbridge.app.answering.parts import Parts, build
from dnsbridge.config import Address, Cluster, Forward, Settings, Source
from dnsbridge.resolvers.at_hand import at_hand
from dnsbridge.resolvers.forward.cached_zone import Cached
from dnsbridge.resolvers.forward.exchange import Asking, Verdict
from dnsbridge.resolvers.resolver import Outcome, second
from dnsbridge.wire.query import Query
from tests.support.forwarding import ask
from tests.support.program import ROOT

EXAMPLE = Cluster(aliases=("dev.k8s.corp",), source=Source(manifests=ROOT / "dnsbridge" / "example"))


def parts() -> Parts:
    """The example cluster with an upstream that is never asked."""
    settings = Settings(clusters=(EXAMPLE,), forward=(Forward(upstreams=(Address("127.0.0.1", 9),)),))
    return build(settings, (Address("127.0.0.1", 53),))


class Upstream:
    """Has an answer to everything, by dnspython, for a minute."""

    def resolve(self, query: Query, beyond: object = None) -> Outcome:
        """See Forwarder: nothing goes past the cache here."""
        raise AssertionError(query)

    def ask(self, asking: Asking) -> None:
        """See Forwarder."""
        response = dns.message.make_response(dns.message.from_wire(b"\0\0" + asking.wire), recursion_available=True)
        name = response.question[0].name
        rdata = dns.rdata.from_text("IN", "A", "192.0.2.1")
        response.answer.append(dns.rrset.from_rdata(name, 60, rdata))
        assert asking.accept(response.to_wire()) is Verdict.GOOD
        asking.over = True
        asking.ended(None)


def octets(name: str, rtype: str = "A", flags: int = dns.flags.RD, **keywords: object) -> bytes:
    """A question, by dnspython."""
    return dns.message.make_query(name, rtype, flags=flags, **keywords).to_wire()  # type: ignore[arg-type]


AT_HAND = [
    ("a cluster's name", octets("web.shop.svc.cluster.local"), True),
    ("in other case, with EDNS", octets("WEB.shop.svc.Cluster.Local", use_edns=0), True),
    ("below an alias", octets("web.shop.svc.dev.k8s.corp"), True),
    ("that does not exist", octets("no.such.cluster.local", "TXT"), True),
    ("the reverse name of a service", octets("34.12.96.10.in-addr.arpa", "PTR"), True),
    ("that of somebody else", octets("1.2.0.192.in-addr.arpa", "PTR"), False),
    ("a name of the same ending", octets("web.notcluster.local"), False),
    ("cached", octets("www.example.com"), True),
    ("cached, in other case", octets("WWW.Example.com"), True),
    ("cached, with EDNS", octets("www.example.com", use_edns=0), True),
    ("cached, asked with DO", octets("www.example.com", want_dnssec=True), False),
    ("cached, asked with CD", octets("www.example.com", flags=dns.flags.RD | dns.flags.CD), False),
    ("cached with DO and CD", octets("sec.example.com", want_dnssec=True, flags=dns.flags.RD | dns.flags.CD), True),
    ("cached so, asked without", octets("sec.example.com"), False),
    ("another type", octets("www.example.com", "AAAA"), False),
    ("never asked", octets("new.example.com"), False),
    ("no message", b"", False),
    ("a header", bytes(12), False),
    ("half a question", octets("web.shop.svc.cluster.local")[:-1], False),
    ("labels that lead nowhere", bytes(12) + b"\x3fweb\x07cluster\x05local\0" + bytes(4), False),
    ("a pointer", bytes(12) + b"\xc0\x0c\0\0\1\0\1", False),
]  # fmt: skip


@pytest.mark.parametrize(("message", "wanted"), [case[1:] for case in AT_HAND], ids=[case[0] for case in AT_HAND])
def test_at_hand(message: bytes, wanted: bool) -> None:
    """Names of clusters, and what the cache has been given by its own way."""

    async def test() -> None:
        made = parts()
        await made.open()
        cached = Cached(Upstream(), made.zones.store, second, serve_stale=0, prefetch=False)
        cached.resolve(ask("www.example.com"))
        cached.resolve(ask("sec.example.com", want_dnssec=True, flags=dns.flags.RD | dns.flags.CD))
        assert len(made.zones.store) == 2
        assert at_hand(made.router, made.zones.store)(message) is wanted
        await made.close()

    asyncio.run(test())


def test_expired_is_not_at_hand() -> None:
    """The upstreams are asked for it again."""

    async def test() -> None:
        made = parts()
        cached = Cached(Upstream(), made.zones.store, lambda: second() - 60, serve_stale=3600, prefetch=False)
        cached.resolve(ask("www.example.com"))
        assert len(made.zones.store) == 1
        assert not at_hand(made.router, made.zones.store)(octets("www.example.com"))
        await made.close()

    asyncio.run(test())
