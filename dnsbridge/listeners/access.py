"""Who may ask, and whose answers are limited in rate: lists of networks, and a verdict for each client.

    allowed    it may ask
    limited    its address could be forged by anybody, so answers to it over UDP are limited (see response_rate)

The verdict on an address is remembered, so that the lists are walked once per client and not once per question.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address

from msgspec import Struct

from dnsbridge.listeners.fairness import Client as Holder
from dnsbridge.listeners.fairness import client_of

Network = IPv4Network | IPv6Network

MAX_REMEMBERED = 65536


class Client(Struct, frozen=True):
    """The verdict on a client."""

    allowed: bool
    limited: bool


class Access:
    """The access list."""

    def __init__(
        self, networks: Iterable[Network], unlimited: Iterable[Network] = (), max_remembered: int = MAX_REMEMBERED
    ) -> None:
        """`networks` may ask; `unlimited` get answers at any rate."""
        self._networks = tuple(networks)
        self._unlimited = tuple(unlimited)
        self._max_remembered = max_remembered
        self._others: dict[str, Client] = {}
        self.allowed: dict[str, Holder] = {}
        """Addresses that were found to be allowed and not limited, and the client that each counts for; the hot path
        looks here first.
        """

    def client(self, address: str) -> Client:
        """The verdict on an address; one with a scope (`fe80::1%eth0`) counts without it."""
        if address in self.allowed:
            return _FREE
        known = self._others.get(address)
        if known is not None:
            return known
        verdict = Client(_within(address, self._networks), not _within(address, self._unlimited))
        if verdict == _FREE:
            if len(self.allowed) >= self._max_remembered:
                self.allowed.clear()
            self.allowed[address] = client_of(address)
        else:
            if len(self._others) >= self._max_remembered:
                self._others.clear()
            self._others[address] = verdict
        return verdict


_FREE = Client(allowed=True, limited=False)


def _within(address: str, networks: tuple[Network, ...]) -> bool:
    client = ip_address(address.partition("%")[0])
    return any(client.version == network.version and client in network for network in networks)
