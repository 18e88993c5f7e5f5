"""The document of GET /routes: what is told comes back, and nothing else is taken."""

import json
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnsbridge.routes.model import NextHop, Note, Route, Severity
from dnsbridge.routes.pictures.document import Told, Unusable, decode, encode, with_status
from dnsbridge.routes.pictures.picture import Block, Declared, External, Node, Picture

PICTURE = Picture(
    cluster="dev",
    precedence=2,
    network="flannel, VXLAN",
    mtu=1450,
    nodes=(
        Node("n1", (ip_address("10.0.0.11"), ip_address("fd00::11")), True, {"node-role.kubernetes.io/gateway": ""}),
        Node("n2", (ip_address("10.0.0.12"),), False),
    ),
    gateways=("n1",),
    blocks=(Block(ip_network("10.244.1.0/24"), ("n1",), "Node n1"), Block(ip_network("fd10::/64"), (), "settings")),
    pools=(ip_network("10.244.0.0/16"),),
    services=(Declared(ip_network("10.96.0.0/16"), "ServiceCIDR kubernetes"),),
    dns=(Declared(ip_network("10.96.0.10/32"), "Service kube-system/kube-dns"),),
    external=(External(ip_network("172.25.254.100/32"), "external_ip", "Service shop/web"),),
    pods=(ip_address("10.9.9.9"),),
    notes=(Note(Severity.WARNING, "dev", "two sources disagree"),),
)
ROUTE = Route(ip_network("10.244.1.0/24"), (NextHop(ip_address("10.0.0.11"), "eth7", 3),), cluster="dev")


def document(**changes: object) -> bytes:
    """A document with some of its cluster's fields replaced."""
    whole = json.loads(encode([Told(PICTURE, True)], [ROUTE]))
    whole["clusters"][0].update(changes)
    return json.dumps(whole).encode()


def test_what_is_told_comes_back() -> None:
    """A picture is the same after its way through JSON; devices of the server are not told."""
    told = (Told(PICTURE, True), Told(Picture("other"), False))
    whole = with_status(encode(told, [ROUTE]), {"dev": {"unrouted_answers": 0}})
    assert decode(whole) == told
    assert json.loads(whole)["routes"] == [
        {
            "prefix": "10.244.1.0/24",
            "next_hops": [{"address": "10.0.0.11", "weight": 3}],
            "kind": "pod",
            "origin": "",
            "cluster": "dev",
        }
    ]


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"ok\n",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"version": 2, "clusters": []}',
        document(blocks=[{"prefix": "10.244.1.7/24", "nodes": ["n1"]}]),
        document(blocks=[{"prefix": "10.244.1.0/33", "nodes": ["n1"]}]),
        document(blocks=[{"prefix": 10, "nodes": ["n1"]}]),
        document(nodes=[{"name": "n1", "addresses": ["fe80::1%eth0"]}]),
        document(nodes=[{"name": "n1", "addresses": ["n1.example"]}]),
        document(nodes=[{"name": "n" * 1001}]),
        document(nodes=[{"name": "n1\x1b[31m"}]),
        document(blocks=[{"prefix": "10.244.1.0/24", "nodes": ["n1"], "origin": "Node n1\nerror: all is lost"}]),
        document(notes=[{"severity": "info", "subject": "dev", "text": "\u202eback"}]),
        document(fresh="yes"),
        document(mtu=-1),
        document(notes=[{"severity": "loud", "subject": "", "text": ""}]),
        document(labels=7, pods=["10.0.0.1/24"]),
    ],
)
def test_what_is_no_document(octets: bytes) -> None:
    """Whatever is not as it should be is refused, in one line."""
    with pytest.raises(Unusable) as caught:
        decode(octets)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@given(st.binary(max_size=300))
def test_any_octets(octets: bytes) -> None:
    """Nothing but a document is taken, and nothing else than Unusable is raised."""
    with pytest.raises(Unusable):
        decode(octets)
