"""Clusters that claim one prefix."""

from ipaddress import ip_network

import pytest

from dnsbridge.zone.claims import Claim, claimed_twice


def claim(text: str) -> Claim:
    """`dev 1 10.96.0.0/16 fd00::/112`."""
    name, precedence, *prefixes = text.split()
    return Claim(name, int(precedence), tuple(map(ip_network, prefixes)))


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ([], ""),
        (["dev 0 10.96.0.0/16", "prod 0 10.97.0.0/16 fd00::/112"], ""),
        (["dev 0 10.96.0.0/16", "prod 1 10.96.0.0/16"], ""),
        (["dev 0 ::/0", "prod 0 0.0.0.0/0"], ""),
        (
            ["a 0 fd00::/112", "dev 0 10.0.0.0/8 10.96.0.0/16", "prod 0 10.96.0.0/16"],
            "clusters dev and prod both claim 10.0.0.0/8 and 10.96.0.0/16; give one a higher precedence",
        ),
        (
            ["dev 3 10.96.0.0/16", "b 2 10.96.0.0/16", "prod 3 10.96.0.0/16"],
            "clusters dev and prod both claim 10.96.0.0/16; give one a higher precedence",
        ),
    ],
)
def test_claimed_twice(claims: list[str], said: str) -> None:
    """The first two, in one line."""
    assert claimed_twice(list(map(claim, claims))) == said
