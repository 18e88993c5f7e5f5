"""The route settings that next hops depend on, as plain values."""

from typing import Literal

from msgspec import Struct

from dnsbridge.cluster.selector import Requirement, Selector
from dnsbridge.routes.model import IPAddress

GATEWAY_LABEL = "node-role.kubernetes.io/gateway"


class Choice(Struct, frozen=True):
    """How routes lead to a cluster."""

    via: Literal["auto", "nodes", "gateways"] = "auto"
    selector: Selector = Selector((Requirement(GATEWAY_LABEL, ("",)),), f"{GATEWAY_LABEL}=")
    """The labels of gateway nodes."""
    gateways: tuple[IPAddress, ...] = ()
    """The gateways by address, instead of by label."""
    silent: frozenset[IPAddress] = frozenset()
    """Gateways that do not answer a probe."""
    external: frozenset[str] = frozenset()
    """The addresses of services that are routed beside ClusterIPs: `load_balancer`, `external_ip`."""
    recurse: bool = False
    """The routes are for a router, which resolves a next hop that is on none of its links (RFC 4271 9.1.2.1). They are
    computed at another place than the one that they are for."""
