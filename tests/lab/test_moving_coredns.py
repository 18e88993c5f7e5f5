"""The cluster's CoreDNS cannot be reached at its ClusterIP, and then can again: dnsbridge answers what it knows itself.

machine 10.73.13.200 ---+--- gateway 10.73.13.9, the way to all services and pods
  dnsbridge at :53      +--- node 10.73.13.1 (kafka-0), node 10.73.13.2 (kafka-1)
                        +--- node 10.73.13.3 (CoreDNS, 192.96.0.10), node 10.73.13.4 (no CoreDNS)
"""

from pathlib import Path

import pytest

from tests.lab.case2 import NAME, PODS, PORT, case2
from tests.lab.client import Client
from tests.support.knot import Knot
from tests.support.links import must
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs("netns", "knotd")
COREDNS, WITH, WITHOUT = "192.96.0.10", "10.73.13.3", "10.73.13.4"
FOREIGN = "legacy.cluster.local"
"""A name of a shape that the specification has not: CoreDNS is asked for it."""
ZONE = f"""@ 5 IN SOA ns.dns hostmaster 1 7200 1800 86400 5
@ 5 IN NS ns.dns
ns.dns 5 IN A {COREDNS}
legacy 5 IN A {PODS["kafka-1"]}
"""


@pytest.mark.parametrize(
    ("way", "said"),
    [
        pytest.param(f"blackhole {COREDNS}", "packets get lost", id="silence"),
        pytest.param(f"unreachable {COREDNS}", "no way to it", id="no way"),
        pytest.param(f"{COREDNS} via {WITHOUT}", "its port is closed", id="refusal"),
    ],
)
def test_coredns_is_away(way: str, said: str, tmp_path: Path) -> None:
    """Names that only CoreDNS knows are "try again" while it is away, never "no such name"."""
    with case2(tmp_path) as (lab, gateway):
        nodes = [lab.host(f"{node}/24") for node in (WITH, WITHOUT)]
        for node in nodes:
            must(node, "ip", "address", "add", f"{COREDNS}/32", "dev", "lo")
        there = f"{COREDNS} via {WITH}"
        must(gateway, "ip", "route", "add", *there.split())
        lab.routes("apply", "--via", "gateways")
        with (
            Knot(tmp_path / "knot", {"cluster.local": ZONE}, address=COREDNS, port=53, command_prefix=nodes[0].prefix),
            Client(lab, NAME, PORT, tmp_path) as known,
            Client(lab, FOREIGN, PORT, tmp_path) as foreign,
        ):
            known.until("kafka-0")
            foreign.until("kafka-1")
            must(gateway, "ip", "route", "replace", *way.split())
            eventually(lambda: foreign.seen()[-1].no_name)
            foreign.once_more(10)
            must(gateway, "ip", "route", "replace", *there.split())
            foreign.until("kafka-1")
            assert known.addresses() == [PODS["kafka-0"]]
            assert known.no_name() == set()
            assert foreign.addresses() == [PODS["kafka-1"]]
            assert foreign.no_name() == {"Temporary failure in name resolution"}
        known.show(f"CoreDNS is away, {said}: a name of dnsbridge")
        foreign.show(f"CoreDNS is away, {said}: a name of CoreDNS alone")
