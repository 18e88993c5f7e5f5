"""Who may ask, and whose answers are limited."""

from ipaddress import ip_network

import pytest

from dnsbridge.listeners.access import Access, packed

PRIVATE = [ip_network("10.0.0.0/8"), ip_network("fe80::/10")]
PUBLIC = [ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")]
VERDICTS = [
    ("private", "10.1.2.3", True, False),
    ("private, on an interface", "fe80::1%eth0", True, False),
    ("public", "192.0.2.1", True, True),
    ("public, IPv6", "2001:db8::1", True, True),
    ("outside both", "198.51.100.1", False, True),
]


@pytest.mark.parametrize(
    ("address", "allowed", "limited"), [case[1:] for case in VERDICTS], ids=[case[0] for case in VERDICTS]
)
def test_verdicts(address: str, allowed: bool, limited: bool) -> None:
    """The same the first time and when it is remembered; only who is not limited gets on the fast path."""
    access = Access(PRIVATE + PUBLIC, PRIVATE)
    for _ in range(2):
        client = access.client(packed(address))
        assert (client.allowed, client.limited) == (allowed, limited)
    assert (packed(address) in access.allowed) is (allowed and not limited)


def test_not_allowed_and_not_limited() -> None:
    """A private client can be outside the access list; it does not get on the fast path either."""
    access = Access(PUBLIC, PRIVATE)
    client = access.client(packed("10.0.0.1"))
    assert (client.allowed, client.limited) == (False, False)
    assert not access.allowed


@pytest.mark.parametrize("first", ["10.0.0.", "192.0.2.", "198.51.100."])
def test_what_is_remembered_is_bounded(first: str) -> None:
    """Many clients push out others, and the verdicts stay right."""
    access = Access(PRIVATE + PUBLIC, PRIVATE, max_remembered=8)
    clients = [access.client(packed(f"{first}{number}")) for number in range(100)]
    assert len({(client.allowed, client.limited) for client in clients}) == 1
    assert len(access.allowed) + len(access._others) <= 8
    assert len(access._shares) <= 8


def test_addresses_of_one_client_share() -> None:
    """All of a /64 count as one, also those that are limited; other addresses for themselves."""
    access = Access(PRIVATE + PUBLIC, PRIVATE)
    addresses = ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "10.0.0.1", "10.0.0.1", "10.0.0.2")
    one, same, other, ipv4, again, neighbour = (access.client(packed(address)).share for address in addresses)
    assert one is same
    assert one is not other
    assert ipv4 is again is not neighbour
