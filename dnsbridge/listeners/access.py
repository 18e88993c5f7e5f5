"""Who may ask: a list of networks, and what the others get.

The verdict on an address is remembered, so that the list is walked once per client and not once per question.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address

Network = IPv4Network | IPv6Network

MAX_REMEMBERED = 65536


class Access:
    """The access list."""

    def __init__(self, networks: Iterable[Network], max_remembered: int = MAX_REMEMBERED) -> None:
        self._networks = tuple(networks)
        self._max_remembered = max_remembered
        self.allowed: set[str] = set()
        """Addresses that were found to be allowed; the hot path looks here first."""

    def allows(self, address: str) -> bool:
        """Whether a client may ask; an address with a scope (`fe80::1%eth0`) counts without it."""
        if address in self.allowed:
            return True
        client = ip_address(address.partition("%")[0])
        if not any(client.version == network.version and client in network for network in self._networks):
            return False
        if len(self.allowed) >= self._max_remembered:
            self.allowed.clear()
        self.allowed.add(address)
        return True
