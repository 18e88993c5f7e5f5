"""What was asked for, as plain values: the settings of routes that next hops depend on."""

from typing import Literal

from msgspec import Struct

from dnsbridge.cluster.selector import Requirement, Selector
from dnsbridge.routes.model import IPAddress

GATEWAY_LABEL = "node-role.kubernetes.io/gateway"


class Choice(Struct, frozen=True):
    """How routes lead to a cluster."""

    via: Literal["auto", "nodes", "gateways"] = "auto"
    selector: Selector = Selector((Requirement(GATEWAY_LABEL, ("",)),), f"{GATEWAY_LABEL}=")
    """The labels of the nodes that are gateways."""
    gateways: tuple[IPAddress, ...] = ()
    """The gateways by address, instead of by label."""
    silent: frozenset[IPAddress] = frozenset()
    """Gateways that do not answer a probe."""
    external: frozenset[str] = frozenset()
    """Which addresses of services beside ClusterIPs are routed: `load_balancer`, `external_ip`."""
    recurse: bool = False
    """The routes are for a router, which finds the way to a next hop that is on none of its links (RFC 4271 9.1.2.1);
    and the place that they are worked out at is not the one that they are for."""
