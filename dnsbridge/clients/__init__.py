"""The configuration of clients and of office DNS servers, as text: one file for each kind, all of them in KINDS."""

from collections.abc import Callable
from typing import NamedTuple

from dnsbridge.clients.bind import bind
from dnsbridge.clients.dnsmasq import dnsmasq
from dnsbridge.clients.names import Names
from dnsbridge.clients.resolv_conf import resolv_conf
from dnsbridge.clients.unbound import unbound


class Kind(NamedTuple):
    """One kind."""

    what: str
    """For people."""
    file: str
    """Where the text goes."""
    text: Callable[[Names], str]


KINDS: dict[str, Kind] = {
    "bind": Kind("BIND 9.14 or later forwards the clusters' zones", "named.conf", bind),
    "dnsmasq": Kind("dnsmasq, pfSense's DNS Forwarder", "/etc/dnsmasq.d/cluster.conf", dnsmasq),
    "resolv.conf": Kind("a host whose nameserver is dnsbridge", "/etc/resolv.conf", resolv_conf),
    "unbound": Kind("unbound, pfSense, OPNsense", "/etc/unbound/unbound.conf.d/cluster.conf", unbound),
}
