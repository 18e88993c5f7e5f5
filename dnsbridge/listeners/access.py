"""The access list: networks that may ask, networks without a rate limit, and a verdict on each client.

Addresses are packed: 4 octets (IPv4) or 16 (IPv6), without a scope.

    allowed    the client may ask
    limited    anybody could forge its address, so answers to it over UDP are rate limited (see response_rate)

The verdict on an address is remembered, so the lists are walked once per client, not per question.
"""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address

from cachetools import LRUCache
from msgspec import Struct

from dnsbridge.listeners.fairness import Share, client_of

Network = IPv4Network | IPv6Network

MAX_REMEMBERED = 65536


class Client(Struct, frozen=True):
    """The verdict on a client."""

    allowed: bool
    limited: bool
    share: Share
    """The client's waiting questions, counted over all its addresses."""


class Access:
    """The access list."""

    def __init__(
        self, networks: Iterable[Network], unlimited: Iterable[Network] = (), max_remembered: int = MAX_REMEMBERED
    ) -> None:
        """`networks` may ask; `unlimited` get answers at any rate."""
        self._networks = tuple(networks)
        self._unlimited = tuple(unlimited)
        self._max_remembered = max_remembered
        self._others: LRUCache[bytes, Client] = LRUCache(max_remembered)
        self._shares: LRUCache[bytes, Share] = LRUCache(max_remembered)
        self.allowed: dict[bytes, Share] = {}
        """Addresses known to be allowed and not limited. The hot path looks here first, so this is a dict that is
        emptied when it is full: a lookup in cachetools' LRUCache costs about five times as much.
        """

    def client(self, address: bytes) -> Client:
        """The verdict on an address."""
        share = self.allowed.get(address)
        if share is not None:
            return Client(True, False, share)
        known = self._others.get(address)
        if known is not None:
            return known
        found = Client(_within(address, self._networks), not _within(address, self._unlimited), self._share(address))
        if found.allowed and not found.limited:
            if len(self.allowed) >= self._max_remembered:
                self.allowed.clear()
            self.allowed[address] = found.share
        else:
            self._others[address] = found
        return found

    def _share(self, address: bytes) -> Share:
        # A client forgotten while its questions wait may hold as many again; that takes very many clients.
        return self._shares.setdefault(client_of(address), Share())


def _within(address: bytes, networks: tuple[Network, ...]) -> bool:
    client = ip_address(address)
    return any(client.version == network.version and client in network for network in networks)


def packed(address: str) -> bytes:
    """An address as octets in network order, without its scope if it has one (`fe80::1%eth0`)."""
    return ip_address(address.partition("%")[0]).packed
