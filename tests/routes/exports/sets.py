"""Sets of routes that the tests of exports share."""

from ipaddress import IPv4Address, ip_address, ip_network

from dnsbridge.routes.exports import About
from dnsbridge.routes.model import Kind, NextHop, Route, in_order


def route(prefix: str, *ways: str, kind: Kind = Kind.POD, cluster: str = "dev") -> Route:
    """A route by text: a way is `ADDRESS`, `%DEVICE` or `ADDRESS%DEVICE`, with `*WEIGHT` after it."""
    hops = []
    for way in ways:
        place, _, weight = way.partition("*")
        address, _, device = place.partition("%")
        hops.append(NextHop(ip_address(address) if address else None, device, int(weight or 1)))
    return Route(ip_network(prefix), tuple(hops), kind, f"Node {prefix}", cluster)


MIXED = in_order(
    [
        route("10.244.1.0/24", "10.0.0.11"),
        route("10.244.2.64/26", "10.0.0.12"),
        route("10.96.0.0/12", "10.0.0.11", "10.0.0.12", kind=Kind.SERVICE),
        route("10.244.3.0/24", "10.0.0.11*2", "10.0.0.12"),
        route("10.96.0.10/32", "10.0.0.11", kind=Kind.DNS),
        route("10.245.0.0/24", "%eth0"),
        route("10.246.0.0/24", "10.0.0.12%eth0"),
        route("fd00:244:1::/64", "fd00::11"),
        route("fd00:244:2::/64", "fe80::12%eth0"),
        route("fd00:96::/108", "fd00::11", "fd00::12", kind=Kind.SERVICE),
        route("fd00:96::a/128", "fd00::11", kind=Kind.DNS),
    ]
)
"""IPv4, IPv6, single addresses, ECMP with and without weights, devices alone and together with an address."""

ABOUT = About(
    interface="eth0",
    dns=(ip_address("10.96.0.10"), ip_address("fd00:96::a")),
    zones=("cluster.local", "dev.k8s.corp"),
    default_gateway=IPv4Address("10.0.0.1"),
)
