"""The cluster's CoreDNS cannot be reached at its ClusterIP, and then can again: dnsbridge answers what it knows itself.

machine 10.73.13.200 ---+--- gateway 10.73.13.9, the way to all pods; kube-proxy: CoreDNS's ClusterIP 192.96.0.10
  dnsbridge at :53      +--- node 10.73.13.1 (kafka-0), node 10.73.13.2 (kafka-1)
                        +--- node 10.73.13.3 (CoreDNS, 192.244.6.200)
"""

from pathlib import Path

import pytest

from tests.lab.case2 import NAME, PODS, PORT, case2
from tests.lab.client import Client
from tests.lab.kube_proxy import kube_proxy
from tests.support.knot import Knot
from tests.support.links import must
from tests.support.namespace import Namespace
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs("netns", "nft", "knotd")
COREDNS, POD, NODE = "192.96.0.10", "192.244.6.200", "10.73.13.3"
FOREIGN = "legacy.cluster.local"
"""A name of a shape that the specification has not: CoreDNS is asked for it."""
ZONE = f"""@ 5 IN SOA ns.dns hostmaster 1 7200 1800 86400 5
@ 5 IN NS ns.dns
ns.dns 5 IN A {COREDNS}
legacy 5 IN A {PODS["kafka-1"]}
"""


def proxy(gateway: Namespace, ready: bool) -> None:
    """The gateway's kube-proxy knows CoreDNS as ready, or no pod of it."""
    kube_proxy(gateway, "192.244.0.0/16", {f"{COREDNS}:53/udp": [f"{POD}:53"] if ready else []})


@pytest.mark.parametrize(
    ("way", "ready", "said"),
    [
        pytest.param(f"blackhole {POD}", True, "packets get lost", id="silence"),
        pytest.param(f"unreachable {POD}", True, "no way to it", id="no way"),
        pytest.param(f"{POD} via {NODE}", False, "no pod of it is ready", id="refusal"),
    ],
)
def test_coredns_is_away(way: str, ready: bool, said: str, tmp_path: Path) -> None:
    """Names that only CoreDNS knows are "try again" while it is away, never "no such name"."""
    with case2(tmp_path) as (lab, gateway):
        node, there = lab.host(f"{NODE}/24"), f"{POD} via {NODE}"
        coredns = lab.pod(node, f"{POD}/32", "coredns", PORT)
        must(gateway, "ip", "route", "add", *there.split())
        # What no pod is behind gets as far as kube-proxy's refusal by any route.
        must(gateway, "ip", "route", "add", "default", "via", NODE)
        proxy(gateway, ready=True)
        lab.routes("apply", "--via", "gateways")
        with (
            Knot(tmp_path / "knot", {"cluster.local": ZONE}, address=POD, port=53, command_prefix=coredns.prefix),
            Client(lab, NAME, PORT, tmp_path) as known,
            Client(lab, FOREIGN, PORT, tmp_path) as foreign,
        ):
            known.until("kafka-0")
            foreign.until("kafka-1")
            must(gateway, "ip", "route", "replace", *way.split())
            proxy(gateway, ready)
            eventually(lambda: foreign.seen()[-1].no_name)
            foreign.once_more(10)
            must(gateway, "ip", "route", "replace", *there.split())
            proxy(gateway, ready=True)
            foreign.until("kafka-1")
            assert known.addresses() == [PODS["kafka-0"]]
            assert known.no_name() == set()
            assert foreign.addresses() == [PODS["kafka-1"]]
            assert foreign.no_name() == {"Temporary failure in name resolution"}
        known.show(f"CoreDNS is away, {said}: a name of dnsbridge")
        foreign.show(f"CoreDNS is away, {said}: a name of CoreDNS alone")
