"""What stays of clusters that cannot say now what they have."""

from ipaddress import ip_address, ip_network

import pytest

from dnsbridge.routes.kept import kept
from dnsbridge.routes.model import NextHop, Route


def route(text: str) -> Route:
    """`10.244.1.0/24 dev 10.0.0.1`: a prefix, a cluster (`-`: none is known), a next hop."""
    prefix, cluster, hop = text.split()
    return Route(ip_network(prefix), (NextHop(ip_address(hop)),), cluster=cluster.strip("-"))


ONE, OTHER_WAY = "10.244.1.0/24 dev 10.0.0.1", "10.244.1.0/24 dev 10.0.0.2"
TWO, PROD, FOUND = "10.244.2.0/24 dev 10.0.0.2", "10.250.1.0/24 prod 10.0.0.9", "10.251.0.0/24 - 10.0.0.7"


@pytest.mark.parametrize(
    ("wanted", "base", "unread", "left"),
    [
        pytest.param([ONE], [ONE, TWO], (), [ONE], id="all have been read"),
        pytest.param([ONE], [ONE, TWO], ("dev",), [ONE, TWO], id="this one has not"),
        pytest.param([ONE], [ONE, TWO, PROD], ("prod",), [ONE, PROD], id="another one has not"),
        pytest.param([OTHER_WAY], [ONE], ("dev",), [OTHER_WAY], id="what it says now counts"),
        pytest.param([], [FOUND, ONE], ("prod",), [FOUND], id="found at the start, of whatever cluster"),
        pytest.param([], [], ("dev",), [], id="nothing"),
    ],
)
def test_kept(wanted: list[str], base: list[str], unread: tuple[str, ...], left: list[str]) -> None:
    """In order; a route that is wanted takes the place of the one that was there."""
    found = kept(tuple(map(route, wanted)), list(map(route, base)), frozenset(unread))
    assert found == tuple(map(route, left))
