"""The place where routes are wanted, this host or a described one, as far as routing decisions need it.

Host
  interfaces    name, MTU, addresses with their prefix lengths
  protected     addresses that must stay reachable as they are: API servers, DNS upstreams, BGP peers
"""

from ipaddress import IPv4Interface, IPv6Interface

from msgspec import Struct

from dnsbridge.routes.model import IPAddress, Prefix

InterfaceAddress = IPv4Interface | IPv6Interface


class Interface(Struct, frozen=True):
    """One network interface that is up."""

    name: str
    addresses: tuple[InterfaceAddress, ...] = ()
    mtu: int = 1500
    kind: str = ""
    """What rtnetlink calls it (IFLA_INFO_KIND): `vxlan`, `bridge`, `veth`, `macvlan`; empty for hardware."""


class Protected(Struct, frozen=True):
    """An address that no route of ours may lead away from."""

    address: IPAddress
    what: str
    """For people: `the API server of cluster dev`, `the DNS upstream 10.0.0.53`."""


class Host(Struct, frozen=True):
    """One host."""

    interfaces: tuple[Interface, ...] = ()
    protected: tuple[Protected, ...] = ()

    def on_link(self, address: IPAddress) -> Interface | None:
        """The interface whose link holds an address, by the longest prefix; None if no link does."""
        links = [
            (own.network.prefixlen, interface)
            for interface in self.interfaces
            for own in interface.addresses
            if own.version == address.version and address in own.network and own.network.prefixlen < own.max_prefixlen
        ]
        return max(links, key=lambda link: link[0])[1] if links else None

    def has(self, address: IPAddress) -> bool:
        """Whether an address is this host's own."""
        return any(own.ip == address for interface in self.interfaces for own in interface.addresses)

    def connected(self) -> tuple[Prefix, ...]:
        """The prefixes that are directly connected."""
        return tuple(own.network for interface in self.interfaces for own in interface.addresses)
