"""From settings to what the listeners let in: whose answers are limited, and what is at hand without asking anybody."""

from ipaddress import ip_network

import pytest

from dnsbridge.app.answering.parts import Parts, build
from dnsbridge.app.server.admission import admission
from dnsbridge.config import Access, Address, Cluster, Forward, Settings, Source
from dnsbridge.listeners.access import packed
from dnsbridge.listeners.response_rate import PER_SECOND, Response
from tests.support.program import ROOT

EXAMPLE = Cluster(aliases=("dev.k8s.corp",), source=Source(manifests=ROOT / "dnsbridge" / "example"))
PUBLIC = ip_network("192.0.2.0/24")
PRIVATE_CLIENT, PUBLIC_CLIENT, OTHER = "10.0.0.1", "192.0.2.1", "198.51.100.1"


def parts(settings: Settings) -> Parts:
    """Parts that ask nobody but loopback."""
    return build(settings, (Address("127.0.0.1", 53),))


def settings(access: Access) -> Settings:
    """The example cluster with an upstream that is never asked."""
    return Settings(access=access, clusters=(EXAMPLE,), forward=(Forward(upstreams=(Address("127.0.0.1", 9),)),))


LIMITS = [
    (
        "by default the private ones are free",
        Access(),
        {PRIVATE_CLIENT: (True, False), OTHER: (False, True)},
        PER_SECOND,
    ),
    (
        "public ones are limited",
        Access(allow=("private", PUBLIC)),
        {PRIVATE_CLIENT: (True, False), PUBLIC_CLIENT: (True, True), OTHER: (False, True)},
        PER_SECOND,
    ),
    (
        "a number is for all",
        Access(allow=("private", PUBLIC), response_rate=3),
        {PRIVATE_CLIENT: (True, True), PUBLIC_CLIENT: (True, True), OTHER: (False, True)},
        3,
    ),
    (
        "0 for nobody",
        Access(allow=("private", PUBLIC), response_rate=0),
        {PRIVATE_CLIENT: (True, False), PUBLIC_CLIENT: (True, False), OTHER: (False, False)},
        None,
    ),
]


@pytest.mark.parametrize(("access", "clients", "rate"), [case[1:] for case in LIMITS], ids=[case[0] for case in LIMITS])
def test_whose_answers_are_limited(access: Access, clients: dict[str, tuple[bool, bool]], rate: int | None) -> None:
    """Each client: allowed, limited; and how many equal responses a second."""
    said = settings(access)
    made = admission(said, parts(said))
    for address, verdict in clients.items():
        client = made.access.client(packed(address))
        assert (client.allowed, client.limited) == verdict
    if rate:
        sent = [made.response_rate.response(packed(OTHER), bytes(10), 0) is Response.SENT for _ in range(rate + 5)]
        assert sum(sent) == rate
